interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Chained lines that are not on the disk yet, and who waits for them. */
export class PendingLines {
  #lines: string[] = [];
  #refused: Buffer | undefined;
  #bytes = 0;
  #waiters: Waiter[] = [];

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether somebody waits for one of them. */
  get awaited(): boolean {
    return this.#waiters.length > 0;
  }

  add(line: string): void {
    this.#lines.push(line, '\n');
    this.#bytes += Buffer.byteLength(line) + 1;
  }

  /** All lines as one write. */
  take(): Buffer {
    const added = Buffer.from(this.#lines.join(''));
    const batch = this.#refused === undefined ? added : Buffer.concat([this.#refused, added]);
    this.#refused = undefined;
    this.#lines = [];
    this.#bytes = 0;
    return batch;
  }

  /** In front of what was added since. */
  putBack(batch: Buffer): void {
    this.#refused = batch;
    this.#bytes += batch.length;
  }

  durable(seq: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ seq, resolve, reject });
    });
  }

  resolveTo(seq: number): void {
    const done = this.#waiters.filter((waiter) => waiter.seq <= seq);
    this.#waiters = this.#waiters.filter((waiter) => waiter.seq > seq);
    for (const { resolve } of done) resolve();
  }

  reject(seq: number, error: Error): void {
    const refused = this.#waiters.filter((waiter) => waiter.seq === seq);
    this.#waiters = this.#waiters.filter((waiter) => waiter.seq !== seq);
    for (const waiter of refused) waiter.reject(error);
  }

  rejectAll(error: Error): void {
    const refused = this.#waiters;
    this.#waiters = [];
    for (const waiter of refused) waiter.reject(error);
  }
}
