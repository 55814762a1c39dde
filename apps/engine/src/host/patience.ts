const SLICES = 10;

/**
 * Waits so long for a sign of life, counted in turns of this process and not by the clock alone:
 * while the machine sleeps, or this process is held, no sign can come, and that costs one turn.
 */
export class Patience {
  readonly #sliceMs: number;
  readonly #onSpent: () => void;
  #timer: NodeJS.Timeout | undefined;
  #left = 0;

  constructor(timeoutMs: number, onSpent: () => void) {
    this.#sliceMs = timeoutMs / SLICES;
    this.#onSpent = onSpent;
  }

  /** Begins to wait, or begins anew after a sign. */
  renew(): void {
    this.#left = SLICES;
    this.#timer ??= setInterval(() => this.#spend(), this.#sliceMs);
    this.#timer.refresh();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #spend(): void {
    this.#left -= 1;
    if (this.#left > 0) return;
    this.end();
    this.#onSpent();
  }
}
