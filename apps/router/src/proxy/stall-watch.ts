/** Something that must show a sign of life before `dueMs` of `performance.now()`. */
export interface Watched {
  readonly dueMs: number;
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
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;
  #emptySweeps = 0;

  watch(one: Watched): void {
    this.#watched.add(one);
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  unwatch(one: Watched): void {
    this.#watched.delete(one);
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const one of this.#watched) {
      if (one.dueMs <= nowMs) one.overdue();
    }
    this.#emptySweeps = this.#watched.size === 0 ? this.#emptySweeps + 1 : 0;
    if (this.#emptySweeps < EMPTY_SWEEPS_MAX) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#emptySweeps = 0;
  }
}
