import { SanctumError } from '@sanctum/errors';

export interface AdmissionOptions {
  readonly placesMax: () => number;
  /** Left out: three quarters of all places, so that there is room for somebody else. */
  readonly perClientMax?: number;
  /** The worker's estimate of when those who wait will have been served. */
  readonly retryAfterS: () => number;
}

const CLIENT_SHARE = 0.75;

/**
 * Counts requests between their first header and the end of their answer. A place is taken before
 * the body is read, so a crowd costs no more memory than `placesMax` bodies.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #byClient = new Map<string, number>();
  #taken = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Throws `queue_full`; otherwise returns what gives the place back, once. */
  enter(client: string): () => void {
    const placesMax = this.#options.placesMax();
    const perClientMax = this.#options.perClientMax ?? Math.ceil(CLIENT_SHARE * placesMax);
    const own = this.#byClient.get(client) ?? 0;
    if (this.#taken >= placesMax) {
      throw this.#full(`All ${placesMax} places are taken.`);
    }
    if (own >= perClientMax) {
      throw this.#full(`You have ${own} requests open, as many as one client may have.`);
    }
    this.#taken += 1;
    this.#byClient.set(client, own + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#leave(client);
    };
  }

  #full(what: string): SanctumError {
    return new SanctumError('queue_full', `${what} Try again later.`, {
      retryAfterS: this.#options.retryAfterS(),
    });
  }

  #leave(client: string): void {
    this.#taken -= 1;
    const left = (this.#byClient.get(client) ?? 0) - 1;
    if (left > 0) this.#byClient.set(client, left);
    else this.#byClient.delete(client);
  }
}
