/** What caches cost: a fixed part per sequence, and key/value pages per token. */
export interface CacheCost {
  readonly bytesPerSequence: number;
  readonly bytesPerToken: number;
}

/** Tokens that a running request reserves at a time. */
export const RESERVATION_TOKENS = 256;

/** Bytes of caches, reserved before they are allocated, so that no step runs out of memory. */
export class CacheBudget {
  readonly #cost: CacheCost;
  readonly #bytesMax: number;
  readonly #tokensByHolder = new Map<object, number>();
  #reserved = 0;

  constructor(cost: CacheCost, bytesMax: number) {
    this.#cost = cost;
    this.#bytesMax = bytesMax;
  }

  get reservedBytes(): number {
    return this.#reserved;
  }

  /** Tokens that one request alone may hold. */
  get tokensMax(): number {
    const { bytesPerSequence, bytesPerToken } = this.#cost;
    const blockBytes = bytesPerToken * RESERVATION_TOKENS;
    const left = this.#bytesMax - bytesPerSequence;
    if (blockBytes === 0) return left < 0 ? 0 : Number.POSITIVE_INFINITY;
    return Math.max(0, Math.floor(left / blockBytes)) * RESERVATION_TOKENS;
  }

  /** Makes the holder's reservation at least `tokens`; false, and unchanged, where it cannot. */
  tryReserve(holder: object, tokens: number): boolean {
    const held = this.#tokensByHolder.get(holder);
    const wanted = Math.ceil(tokens / RESERVATION_TOKENS) * RESERVATION_TOKENS;
    if (held !== undefined && wanted <= held) return true;
    const bytes =
      (wanted - (held ?? 0)) * this.#cost.bytesPerToken +
      (held === undefined ? this.#cost.bytesPerSequence : 0);
    if (this.#reserved + bytes > this.#bytesMax) return false;
    this.#tokensByHolder.set(holder, wanted);
    this.#reserved += bytes;
    return true;
  }

  release(holder: object): void {
    const held = this.#tokensByHolder.get(holder);
    if (held === undefined) return;
    this.#tokensByHolder.delete(holder);
    this.#reserved -= held * this.#cost.bytesPerToken + this.#cost.bytesPerSequence;
  }
}
