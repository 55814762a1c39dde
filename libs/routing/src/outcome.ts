/** How one attempt ended before any content reached the client, or how a started stream ended. */
export type AttemptOutcome =
  | {
      readonly kind: 'answered';
      readonly status: number;
      /** `error.code` of an error body. */
      readonly errorCode?: string;
      /** What kind of error body it was, in one word: see `judgeAttempts`. */
      readonly bodyClass?: string;
    }
  /** No connection, or no TLS session: the request was never sent. */
  | {
      readonly kind: 'connect_failure';
      /** Refused or reset, so nobody listens there: what starts again just now, for one. */
      readonly isRefused?: boolean;
    }
  /** The connection broke before the answer was whole. */
  | { readonly kind: 'transport' }
  /** A kept-alive connection turned out to be closed: the request never reached the upstream. */
  | { readonly kind: 'stale_connection' }
  /** Nothing came in time. */
  | { readonly kind: 'stall' }
  /** The answer was still coming when the time for all attempts of the request was over. */
  | { readonly kind: 'deadline' }
  /** 200, and then an error event instead of content. */
  | { readonly kind: 'stream_error' };

/** What an outcome says about its target; only `target_fault` is evidence against it. */
export type OutcomeClass = 'success' | 'target_fault' | 'neutral' | 'request_fault';

const NEUTRAL_STATUSES: ReadonlySet<number> = new Set([401, 403, 408, 429]);

/** What one outcome counts as for breakers and metrics, seen alone. */
export function classifyOutcome(outcome: AttemptOutcome): OutcomeClass {
  switch (outcome.kind) {
    case 'answered':
      return classifyStatus(outcome.status, outcome.errorCode);
    case 'stale_connection':
    case 'deadline':
      return 'neutral';
    case 'connect_failure':
    case 'transport':
    case 'stall':
    case 'stream_error':
      return 'target_fault';
  }
}

function classifyStatus(status: number, errorCode: string | undefined): OutcomeClass {
  if (status < 400) return 'success';
  if (NEUTRAL_STATUSES.has(status) || errorCode === 'loading') return 'neutral';
  return status >= 500 ? 'target_fault' : 'request_fault';
}

/** Whether another URL may do better. */
export function movesOn(outcome: AttemptOutcome): boolean {
  if (outcome.kind !== 'answered') return true;
  return outcome.status >= 500 || outcome.status === 429 || outcome.status === 408;
}

/** One attempt of a request, at one of its URLs. */
export interface JudgedAttempt {
  readonly urlIndex: number;
  readonly outcome: AttemptOutcome;
}

/**
 * What the attempts of one request count as, seen together: the same 5xx with the same class of
 * error body from two URLs is evidence about the request, not about its targets. One class per
 * attempt, in order.
 */
export function judgeAttempts(attempts: readonly JudgedAttempt[]): OutcomeClass[] {
  return attempts.map((attempt) => {
    const alone = classifyOutcome(attempt.outcome);
    const isShared =
      alone === 'target_fault' && attempts.some((other) => sameServerError(attempt, other));
    return isShared ? 'request_fault' : alone;
  });
}

function sameServerError(one: JudgedAttempt, other: JudgedAttempt): boolean {
  const a = one.outcome;
  const b = other.outcome;
  if (a.kind !== 'answered' || b.kind !== 'answered' || one.urlIndex === other.urlIndex) {
    return false;
  }
  return a.status === b.status && a.bodyClass !== undefined && a.bodyClass === b.bodyClass;
}
