/** Exponential backoff with a budget over a sliding window. */
export interface RestartPolicy {
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  /** Restarts allowed within the window; the next exit gives the service up. */
  readonly restartsMax: number;
  readonly windowMs: number;
}

export const DEFAULT_RESTART: RestartPolicy = {
  backoffMs: 250,
  backoffMaxMs: 10_000,
  restartsMax: 8,
  windowMs: 300_000,
};

export type RestartDecision =
  | { readonly restart: true; readonly delayMs: number; readonly exits: readonly number[] }
  | { readonly restart: false; readonly exits: readonly number[] };

/**
 * Whether a service that exited at `at` is started again, and after how long.
 *
 * @param exits times of earlier exits in ms; those older than the window no longer count
 */
export function decideRestart(
  policy: RestartPolicy,
  exits: readonly number[],
  at: number,
): RestartDecision {
  const recent = [...exits.filter((exit) => exit > at - policy.windowMs), at];
  if (recent.length > policy.restartsMax) {
    return { restart: false, exits: recent };
  }
  const delayMs = Math.min(policy.backoffMaxMs, policy.backoffMs * 2 ** (recent.length - 1));
  return { restart: true, delayMs, exits: recent };
}
