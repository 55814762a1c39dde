import type { OutcomeClass } from './outcome.js';

export interface BreakerSettings {
  /** Consecutive target faults that open it. */
  readonly faultsMax: number;
  /** From opening to the first probe, and the longest a probe keeps others away. */
  readonly openMs: number;
}

export const DEFAULT_BREAKER: BreakerSettings = { faultsMax: 5, openMs: 30_000 };

/**
 * What a fault of the target was: it took no connection, it answered with garbage, or anything else.
 * The first two are no reason to leave alone a target that has no substitute.
 */
export const FAULT_KINDS = ['no_connection', 'garbage', 'failure'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Times are wall-clock milliseconds, because an open breaker outlives the process. */
export type BreakerState =
  | { readonly kind: 'closed'; readonly faults: number }
  /** `lastFault` is the one that opened it. */
  | { readonly kind: 'open'; readonly sinceMs: number; readonly lastFault: FaultKind }
  /** One request is under way to see whether the target is back. */
  | {
      readonly kind: 'probing';
      readonly sinceMs: number;
      readonly probeMs: number;
      readonly lastFault: FaultKind;
    };

export const CLOSED_BREAKER: BreakerState = { kind: 'closed', faults: 0 };

/** What a breaker says to a request that wants to pass. */
export type BreakerStanding = 'closed' | 'probe_due' | 'open';

/** How a request passed: a `last_resort` found every URL open and nothing better to do. */
export type Passage = 'normal' | 'probe' | 'last_resort';

/** A clock that was set back must not keep a breaker open: time before `sinceMs` counts as over. */
export function breakerStanding(
  state: BreakerState,
  settings: BreakerSettings,
  nowMs: number,
): BreakerStanding {
  if (state.kind === 'closed') return 'closed';
  const waitsSinceMs = state.kind === 'open' ? state.sinceMs : state.probeMs;
  const elapsedMs = nowMs - waitsSinceMs;
  return elapsedMs < 0 || elapsedMs >= settings.openMs ? 'probe_due' : 'open';
}

/** The state while the one probe is under way. */
export function startProbe(state: BreakerState, nowMs: number): BreakerState {
  if (state.kind === 'closed') return state;
  const { sinceMs, lastFault } = state;
  return { kind: 'probing', sinceMs, probeMs: nowMs, lastFault };
}

export interface BreakerResult {
  readonly outcomeClass: OutcomeClass;
  readonly passage: Passage;
  readonly nowMs: number;
  /** Of a target fault. */
  readonly fault: FaultKind;
}

/**
 * The state after a request's result is known. Only target faults count, and only consecutive ones;
 * a neutral result or a request fault changes no count and gives a probe's slot back. What was
 * already under way when the breaker opened says nothing about the time since.
 */
export function afterResult(
  state: BreakerState,
  settings: BreakerSettings,
  result: BreakerResult,
): BreakerState {
  switch (state.kind) {
    case 'closed':
      return whenClosed(state, settings, result);
    case 'open':
      return isRecovery(result) ? CLOSED_BREAKER : state;
    case 'probing':
      return whenProbing(state, result);
  }
}

function whenClosed(
  state: Extract<BreakerState, { kind: 'closed' }>,
  settings: BreakerSettings,
  { outcomeClass, nowMs, fault }: BreakerResult,
): BreakerState {
  switch (outcomeClass) {
    case 'success':
      return CLOSED_BREAKER;
    case 'neutral':
    case 'request_fault':
      return state;
    case 'target_fault': {
      const faults = state.faults + 1;
      return faults < settings.faultsMax
        ? { kind: 'closed', faults }
        : { kind: 'open', sinceMs: nowMs, lastFault: fault };
    }
  }
}

function whenProbing(
  state: Extract<BreakerState, { kind: 'probing' }>,
  result: BreakerResult,
): BreakerState {
  if (isRecovery(result)) return CLOSED_BREAKER;
  if (result.passage !== 'probe') return state;
  const { sinceMs, lastFault } = state;
  return result.outcomeClass === 'target_fault'
    ? { kind: 'open', sinceMs: result.nowMs, lastFault: result.fault }
    : { kind: 'open', sinceMs, lastFault };
}

function isRecovery({ outcomeClass, passage }: BreakerResult): boolean {
  return outcomeClass === 'success' && passage !== 'normal';
}
