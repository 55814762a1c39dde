export interface SlownessSettings {
  /** Seconds; undefined means that nothing is too slow. */
  readonly thresholdS: number | undefined;
  /** Consecutive answers with the average over the threshold that make one fault. */
  readonly tripCount: number;
}

export const DEFAULT_SLOW_TRIP_COUNT = 3;
/** Weight of the newest answer. */
export const EMA_ALPHA = 0.2;

/** Exponential moving average of how long answers of one URL let wait. */
export interface LatencyState {
  readonly emaS: number;
  /** Consecutive answers after which the average was over the threshold. */
  readonly slow: number;
}

/**
 * The state after one more answer. `isSlow`: it does not speak for its target; `tripped`: it is to be
 * counted as a fault of it.
 */
export function observeLatency(
  state: LatencyState | undefined,
  settings: SlownessSettings,
  latencyS: number,
): { readonly state: LatencyState; readonly isSlow: boolean; readonly tripped: boolean } {
  const emaS = state === undefined ? latencyS : EMA_ALPHA * latencyS + (1 - EMA_ALPHA) * state.emaS;
  const isSlow = settings.thresholdS !== undefined && emaS > settings.thresholdS;
  const slow = isSlow ? (state?.slow ?? 0) + 1 : 0;
  return slow >= settings.tripCount
    ? { state: { emaS, slow: 0 }, isSlow, tripped: true }
    : { state: { emaS, slow }, isSlow, tripped: false };
}
