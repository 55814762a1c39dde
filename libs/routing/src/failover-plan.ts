import { movesOn, type AttemptOutcome } from './outcome.js';

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

export type FailoverState =
  /** An attempt at `urlIndex` is under way and nothing has reached the client. */
  | {
      readonly kind: 'trying';
      readonly urlIndex: number;
      /** URLs to try, in this order; `position` is where `urlIndex` stands in it. */
      readonly order: readonly number[];
      readonly position: number;
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

/**
 * First URL of the order, full deadline. Nothing is sticky: every request starts here. `order` is
 * what breakers and cool-downs leave of the URLs (`orderUrls`); by default all, primary first.
 */
export function startFailover(
  policy: FailoverPolicy,
  nowMs: number,
  order: readonly number[] = policy.urls.map((_, index) => index),
): FailoverState {
  const [urlIndex] = order;
  if (urlIndex === undefined) return { kind: 'exhausted', urlIndex: 0, reason: 'urls' };
  const deadlineMs = nowMs + policy.totalMs;
  return { kind: 'trying', urlIndex, order, position: 0, deadlineMs, resent: false };
}

/** The URL at hand may not be called after all: its only probe was just taken by another request. */
export function skipUrl(state: FailoverState): FailoverState {
  return state.kind === 'trying' ? nextUrl(state) : state;
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
  state: FailoverState,
  end: { outcome: AttemptOutcome; nowMs: number },
): FailoverState {
  const { outcome, nowMs } = end;
  switch (state.kind) {
    case 'trying':
      return afterTry(state, { outcome, nowMs });
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
  return nextUrl(state);
}

function nextUrl(state: Extract<FailoverState, { kind: 'trying' }>): FailoverState {
  const position = state.position + 1;
  const urlIndex = state.order[position];
  return urlIndex === undefined
    ? { kind: 'exhausted', urlIndex: state.urlIndex, reason: 'urls' }
    : { ...state, urlIndex, position, resent: false };
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
  const shareMs = stream ? 0 : leftMs / (state.order.length - state.position);
  return Math.min(leftMs, Math.max(ownMs, shareMs));
}
