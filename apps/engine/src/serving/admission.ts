import { SanctumError } from '@sanctum/errors';

/**
 * Counts requests between their first header and the end of their answer. A place is taken before
 * the body is read, so a crowd costs no more memory than `placesMax` bodies.
 */
export class Admission {
  readonly #placesMax: () => number;
  #taken = 0;

  constructor(placesMax: () => number) {
    this.#placesMax = placesMax;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Throws `queue_full`; otherwise returns what gives the place back, once. */
  enter(): () => void {
    if (this.#taken >= this.#placesMax()) {
      throw new SanctumError(
        'queue_full',
        `All ${this.#placesMax()} places are taken. Try again in a moment.`,
        { retryAfterS: 1 },
      );
    }
    this.#taken += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken -= 1;
    };
  }
}
