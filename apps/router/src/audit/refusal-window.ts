/** Of one kind, in one second; the rest is counted. */
export const REFUSALS_LISTED_MAX = 10;
const WINDOW_MS = 1_000;

export interface RefusalClock {
  /** Milliseconds, never going back. */
  readonly now: () => number;
  /** Calls back once; returns what calls it off. */
  readonly after: (ms: number, done: () => void) => () => void;
}

const CLOCK: RefusalClock = {
  now: () => performance.now(),
  after: (ms, done) => {
    const timer = setTimeout(done, ms).unref();
    return () => clearTimeout(timer);
  },
};

/**
 * Lets a few of each kind through a second, and tells how many more there were when it is over. The
 * kinds are error codes: a closed set.
 */
export class RefusalWindow {
  readonly #onMore: (kind: string, count: number) => void;
  readonly #clock: RefusalClock;
  readonly #counts = new Map<string, number>();
  #startMs = -Infinity;
  #callOff: (() => void) | undefined;

  constructor(onMore: (kind: string, count: number) => void, clock: RefusalClock = CLOCK) {
    this.#onMore = onMore;
    this.#clock = clock;
  }

  /** Whether this one is to be listed. */
  take(kind: string): boolean {
    const nowMs = this.#clock.now();
    if (nowMs - this.#startMs >= WINDOW_MS) {
      this.flush();
      this.#startMs = nowMs;
    }
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    if (count <= REFUSALS_LISTED_MAX) return true;
    const leftMs = this.#startMs + WINDOW_MS - nowMs;
    this.#callOff ??= this.#clock.after(leftMs, () => this.flush());
    return false;
  }

  /** Ends the second. */
  flush(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    for (const [kind, count] of this.#counts) {
      if (count > REFUSALS_LISTED_MAX) this.#onMore(kind, count - REFUSALS_LISTED_MAX);
    }
    this.#counts.clear();
  }
}
