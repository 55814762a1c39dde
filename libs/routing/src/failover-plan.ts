import { movesOn, type AttemptOutcome } from './outcome.js';

/** Limits of one URL of a backend, in milliseconds. */
export interface AttemptTimeouts {
  readonly connectMs: number;
  /** From sending the request to the first content of the answer. */
  readonly firstByteMs: number;
  /** The operator said `firstByteMs`, so it holds for an answer that comes whole as well. */
  readonly isFirstByteSet?: boolean;
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
      /** When its only URL first refused the connection. */
      readonly refusedSinceMs?: number;
      /** How long from then on it is waited for; 0 where there is another URL. */
      readonly awaitedMs: number;
    }
  /** The only URL refuses connections; it is called again at `retryAtMs`. */
  | {
      readonly kind: 'waiting';
      readonly urlIndex: number;
      readonly retryAtMs: number;
      readonly then: Trying;
    }
  /** Content has reached the client: this URL or nothing. */
  | { readonly kind: 'streaming'; readonly urlIndex: number; readonly deadlineMs: number }
  /** The attempt's answer, good or bad, is the client's answer. */
  | { readonly kind: 'returned'; readonly urlIndex: number }
  /** No URL is left, or no time. */
  | { readonly kind: 'exhausted'; readonly urlIndex: number; readonly reason: ExhaustedReason }
  /** A stream died after content: one in-band error, no `[DONE]`, nothing is sent again. */
  | { readonly kind: 'broken'; readonly urlIndex: number };

type Trying = Extract<FailoverState, { kind: 'trying' }>;

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
  const awaitedMs = order.length > 1 ? 0 : (policy.urls[urlIndex]?.connectMs ?? 0);
  return { kind: 'trying', urlIndex, order, position: 0, deadlineMs, resent: false, awaitedMs };
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
 * any other answer is returned. A backend's only URL that refuses the connection is waited for, up to
 * its connect timeout: nothing was sent, and a killed service is back within seconds. `mayWait` is
 * false for one that has been down for longer.
 */
export function afterAttempt(state: FailoverState, end: AttemptEnding): FailoverState {
  const { outcome } = end;
  switch (state.kind) {
    case 'trying':
      return afterTry(state, end);
    case 'streaming':
      return outcome.kind === 'answered'
        ? { kind: 'returned', urlIndex: state.urlIndex }
        : { kind: 'broken', urlIndex: state.urlIndex };
    case 'waiting':
    case 'returned':
    case 'exhausted':
    case 'broken':
      return state;
  }
}

export interface AttemptEnding {
  readonly outcome: AttemptOutcome;
  readonly nowMs: number;
  readonly mayWait?: boolean;
}

/** Between two calls of a URL that is waited for. */
export const RECONNECT_PAUSE_MS = 100;

/** The wait is over: its URL is called again. */
export function endWaiting(state: FailoverState): FailoverState {
  return state.kind === 'waiting' ? state.then : state;
}

/** With less than this left of the deadline, another attempt is not begun. */
export const ATTEMPT_MS_MIN = 10;

function afterTry(state: Trying, end: AttemptEnding): FailoverState {
  const { outcome, nowMs } = end;
  const { urlIndex, deadlineMs } = state;
  if (!movesOn(outcome)) return { kind: 'returned', urlIndex };
  if (deadlineMs - nowMs < ATTEMPT_MS_MIN)
    return { kind: 'exhausted', urlIndex, reason: 'deadline' };
  if (outcome.kind === 'stale_connection' && !state.resent) {
    return { ...state, resent: true };
  }
  return waitFor(state, end) ?? nextUrl(state);
}

/** Nobody is there: one killed this moment may still have broken a connection kept alive, or two. */
function isGone(outcome: AttemptOutcome, wasResent: boolean): boolean {
  if (outcome.kind === 'connect_failure') return outcome.isRefused === true;
  return outcome.kind === 'stale_connection' && wasResent;
}

/** A service that starts again refuses connections first, and may then answer that it is loading. */
function waitFor(state: Trying, { outcome, nowMs, mayWait = true }: AttemptEnding) {
  const isRefused = isGone(outcome, state.resent);
  const isLoading = outcome.kind === 'answered' && outcome.errorCode === 'loading';
  const { refusedSinceMs = isRefused && mayWait ? nowMs : undefined } = state;
  if (refusedSinceMs === undefined || !(isRefused || isLoading)) return undefined;
  const retryAtMs = nowMs + RECONNECT_PAUSE_MS;
  const isTooLate =
    retryAtMs - refusedSinceMs > state.awaitedMs || state.deadlineMs - retryAtMs < ATTEMPT_MS_MIN;
  if (isTooLate) return undefined;
  return {
    kind: 'waiting',
    urlIndex: state.urlIndex,
    retryAtMs,
    then: { ...state, refusedSinceMs },
  } as const;
}

function nextUrl(state: Trying): FailoverState {
  const position = state.position + 1;
  const urlIndex = state.order[position];
  return urlIndex === undefined
    ? { kind: 'exhausted', urlIndex: state.urlIndex, reason: 'urls' }
    : { ...state, urlIndex, position, resent: false };
}

/**
 * Milliseconds the attempt under way may wait for its first content. An answer that is not streamed
 * is computed whole before its first byte, so it gets at least an equal share of the time left, unless
 * the operator said how long to wait.
 */
export function firstByteWaitMs(
  policy: FailoverPolicy,
  state: Trying,
  { stream, nowMs }: { stream: boolean; nowMs: number },
): number {
  const leftMs = Math.max(0, state.deadlineMs - nowMs);
  const url = policy.urls[state.urlIndex];
  const ownMs = url?.firstByteMs ?? leftMs;
  const isShared = !stream && url?.isFirstByteSet !== true;
  const shareMs = isShared ? leftMs / (state.order.length - state.position) : 0;
  return Math.min(leftMs, Math.max(ownMs, shareMs));
}
