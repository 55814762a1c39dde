/** Limits of one URL of a backend, in milliseconds. */
export interface AttemptTimeouts {
  readonly connectMs: number;
  /** From sending the request to the first content of the answer. */
  readonly firstByteMs: number;
  /** Longest silence once content flows. */
  readonly idleMs: number;
}

export interface FailoverPolicy {
  /** Primary first. */
  readonly urls: readonly AttemptTimeouts[];
  /** For all attempts of a request together. */
  readonly totalMs: number;
}

/** How one attempt ended before any content reached the client, or how a started stream ended. */
export type AttemptOutcome =
  | { readonly kind: 'answered'; readonly status: number; readonly errorCode?: string }
  /** No connection, or no TLS session: the request was never sent. */
  | { readonly kind: 'connect_failure' }
  /** The connection broke before the answer was whole. */
  | { readonly kind: 'transport' }
  /** A kept-alive connection turned out to be closed: the request never reached the upstream. */
  | { readonly kind: 'stale_connection' }
  /** Nothing came in time. */
  | { readonly kind: 'stall' }
  /** 200, and then an error event instead of content. */
  | { readonly kind: 'stream_error' };

/** What an outcome says about its target; only `target_fault` is evidence against it. */
export type OutcomeClass = 'success' | 'target_fault' | 'neutral' | 'request_fault';

export type FailoverState =
  /** An attempt at `urlIndex` is under way and nothing has reached the client. */
  | {
      readonly kind: 'trying';
      readonly urlIndex: number;
      readonly deadlineMs: number;
      readonly resent: boolean;
    }
  /** Content has reached the client: this URL or nothing. */
  | { readonly kind: 'streaming'; readonly urlIndex: number; readonly deadlineMs: number }
  /** The attempt's answer, good or bad, is the client's answer. */
  | { readonly kind: 'returned'; readonly urlIndex: number }
  /** No URL is left, or no time. */
  | { readonly kind: 'exhausted'; readonly urlIndex: number; readonly reason: ExhaustedReason }
  /** A stream died after content: one in-band error, no `[DONE]`, nothing is sent again. */
  | { readonly kind: 'broken'; readonly urlIndex: number };

export type ExhaustedReason = 'urls' | 'deadline';

/** First URL, full deadline. Nothing is sticky: every request starts here. */
export function startFailover(policy: FailoverPolicy, nowMs: number): FailoverState {
  return { kind: 'trying', urlIndex: 0, deadlineMs: nowMs + policy.totalMs, resent: false };
}

/** The first content of the answer goes to the client: failing over ends here. */
export function startStreaming(state: FailoverState): FailoverState {
  if (state.kind !== 'trying') return state;
  return { kind: 'streaming', urlIndex: state.urlIndex, deadlineMs: state.deadlineMs };
}

/**
 * The state after an attempt ended. Connect failure, broken connection, stall, error event, 5xx, 429
 * and 408 move on to the next URL; a stale kept-alive connection is tried once more at the same URL;
 * any other answer is returned.
 */
export function afterAttempt(
  policy: FailoverPolicy,
  state: FailoverState,
  end: { outcome: AttemptOutcome; nowMs: number },
): FailoverState {
  const { outcome, nowMs } = end;
  switch (state.kind) {
    case 'trying':
      return afterTry(policy, state, { outcome, nowMs });
    case 'streaming':
      return outcome.kind === 'answered'
        ? { kind: 'returned', urlIndex: state.urlIndex }
        : { kind: 'broken', urlIndex: state.urlIndex };
    case 'returned':
    case 'exhausted':
    case 'broken':
      return state;
  }
}

/** With less than this left of the deadline, another attempt is not begun. */
export const ATTEMPT_MS_MIN = 10;

function afterTry(
  policy: FailoverPolicy,
  state: Extract<FailoverState, { kind: 'trying' }>,
  { outcome, nowMs }: { outcome: AttemptOutcome; nowMs: number },
): FailoverState {
  const { urlIndex, deadlineMs } = state;
  if (!movesOn(outcome)) return { kind: 'returned', urlIndex };
  if (deadlineMs - nowMs < ATTEMPT_MS_MIN)
    return { kind: 'exhausted', urlIndex, reason: 'deadline' };
  if (outcome.kind === 'stale_connection' && !state.resent) {
    return { ...state, resent: true };
  }
  return urlIndex + 1 < policy.urls.length
    ? { kind: 'trying', urlIndex: urlIndex + 1, deadlineMs, resent: false }
    : { kind: 'exhausted', urlIndex, reason: 'urls' };
}

/** Whether another URL may do better. */
export function movesOn(outcome: AttemptOutcome): boolean {
  if (outcome.kind !== 'answered') return true;
  return outcome.status >= 500 || outcome.status === 429 || outcome.status === 408;
}

const NEUTRAL_STATUSES: ReadonlySet<number> = new Set([401, 403, 408, 429]);

/** What the outcome counts as for breakers and metrics. */
export function classifyOutcome(outcome: AttemptOutcome): OutcomeClass {
  switch (outcome.kind) {
    case 'answered':
      return classifyStatus(outcome.status, outcome.errorCode);
    case 'stale_connection':
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

/**
 * Milliseconds the attempt under way may wait for its first content. An answer that is not streamed
 * is computed whole before its first byte, so it gets at least an equal share of the time left.
 */
export function firstByteWaitMs(
  policy: FailoverPolicy,
  state: Extract<FailoverState, { kind: 'trying' }>,
  { stream, nowMs }: { stream: boolean; nowMs: number },
): number {
  const leftMs = Math.max(0, state.deadlineMs - nowMs);
  const ownMs = policy.urls[state.urlIndex]?.firstByteMs ?? leftMs;
  const shareMs = stream ? 0 : leftMs / (policy.urls.length - state.urlIndex);
  return Math.min(leftMs, Math.max(ownMs, shareMs));
}
