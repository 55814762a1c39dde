const MINUTE_MS = 60_000;

/** A token bucket: so many requests a minute, and as many at once after a quiet minute. */
export class RateLimit {
  readonly #perMinute: number;
  /** In requests times milliseconds of a minute, so that whole milliseconds count exactly. */
  #credit: number;
  #countedMs = -Infinity;

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
    this.#credit = perMinute * MINUTE_MS;
  }

  /** Takes one: 0 when it was there, else milliseconds until it will be. A clock set back gives none. */
  take(nowMs: number): number {
    const elapsedMs = Math.max(0, Math.min(MINUTE_MS, nowMs - this.#countedMs));
    const full = this.#perMinute * MINUTE_MS;
    this.#credit = Math.min(full, this.#credit + elapsedMs * this.#perMinute);
    this.#countedMs = nowMs;
    if (this.#credit >= MINUTE_MS) {
      this.#credit -= MINUTE_MS;
      return 0;
    }
    return Math.ceil((MINUTE_MS - this.#credit) / this.#perMinute);
  }
}
