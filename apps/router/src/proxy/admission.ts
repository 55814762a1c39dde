import { SanctumError } from '@sanctum/errors';
import type { RouterLimits } from '../limits.js';

const RETRY_AFTER_S = 1;

/** Counts what is under way against the limits of the router. */
export class Admission {
  #inFlight = 0;
  #bufferedBytes = 0;
  #draining = false;
  #idle: (() => void)[] = [];
  readonly #limits: Pick<RouterLimits, 'inFlightMax' | 'bufferedBytesMax'>;

  constructor(limits: Pick<RouterLimits, 'inFlightMax' | 'bufferedBytesMax'>) {
    this.#limits = limits;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Why a further request cannot be taken now, or undefined; then `enter` counts it. */
  refusal(): SanctumError | undefined {
    if (this.#draining) {
      return new SanctumError('draining', 'The router is shutting down; try again.', {
        retryAfterS: RETRY_AFTER_S,
      });
    }
    if (this.#inFlight < this.#limits.inFlightMax) return undefined;
    return new SanctumError(
      'queue_full',
      `The router has ${this.#limits.inFlightMax} requests under way, its limit; try again.`,
      { retryAfterS: RETRY_AFTER_S },
    );
  }

  enter(): void {
    this.#inFlight++;
  }

  /** Takes back `enter` and the bytes that the request had reserved. */
  leave(reservedBytes: number): void {
    this.#inFlight--;
    this.#bufferedBytes -= reservedBytes;
    if (this.#inFlight > 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  /** False when the bodies of all requests together would exceed their limit. */
  tryReserve(bytes: number): boolean {
    if (this.#bufferedBytes + bytes > this.#limits.bufferedBytesMax) return false;
    this.#bufferedBytes += bytes;
    return true;
  }

  /** Refuses from now on; resolves when nothing is under way. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }
}
