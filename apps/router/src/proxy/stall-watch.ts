/** Something that must show a sign of life before `dueMs` of `performance.now()`. */
export interface Watched {
  readonly dueMs: number;
  /** Where the watch keeps it; only the watch writes this. */
  slot: number;
  overdue(): void;
}

/** How late an overdue attempt may be noticed. */
export const SWEEP_MS = 20;
/** Sweeps without anything to watch after which sweeping rests. */
const EMPTY_SWEEPS_MAX = 50;

/**
 * One timer for all attempts under way. An attempt per request arms and disarms too often for timers
 * of their own: here a sign of life is one assignment.
 */
export class StallWatch {
  // Not a Set: one that is often added to and deleted from leaves outgrown tables behind, which
  // point to whole requests and drag them into the old generation.
  readonly #watched: Watched[] = [];
  #timer: NodeJS.Timeout | undefined;
  #emptySweeps = 0;

  watch(one: Watched): void {
    one.slot = this.#watched.push(one) - 1;
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  unwatch(one: Watched): void {
    if (this.#watched[one.slot] !== one) return;
    const last = this.#watched.pop();
    if (last === undefined || last === one) return;
    this.#watched[one.slot] = last;
    last.slot = one.slot;
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const one of this.#watched.filter(({ dueMs }) => dueMs <= nowMs)) one.overdue();
    this.#emptySweeps = this.#watched.length === 0 ? this.#emptySweeps + 1 : 0;
    if (this.#emptySweeps < EMPTY_SWEEPS_MAX) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#emptySweeps = 0;
  }
}
