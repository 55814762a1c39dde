import type { EndedAttempt } from '../health/request-health.js';
import type { Attempt, AttemptEnd } from './attempt.js';

/** What the health of its URL is told of an attempt. */
export function endedAttempt(attempt: Attempt, end: AttemptEnd): EndedAttempt {
  const retryAfter = end.answer?.headers['retry-after'];
  return {
    urlIndex: attempt.upstream.urlIndex,
    outcome: end.outcome,
    errorClass: end.errorClass,
    waitedMs: end.waitedMs,
    retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
    firstContentMs: attempt.firstContentMs,
    report: attempt.report(end),
  };
}
