const FIRST_MS = 100;
const LONGEST_MS = 30_000;
/** A worker that served this long starts the count anew. */
const STABLE_MS = 60_000;

/** How often a worker died in a row, and how long to wait before the next one. */
export interface Backoff {
  readonly failures: number;
  readonly delayMs: number;
}

export const NO_FAILURES: Backoff = { failures: 0, delayMs: 0 };

/** After a death: at once-ish first, doubling while it keeps dying, never longer than 30 s. */
export function afterDeath(former: Backoff, servedMs: number): Backoff {
  const failures = servedMs >= STABLE_MS ? 1 : former.failures + 1;
  return { failures, delayMs: Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10)) };
}
