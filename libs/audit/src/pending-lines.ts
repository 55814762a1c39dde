interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const NOTHING = Buffer.alloc(0);
const ROOM_BYTES_MIN = 16 * 1024;
const LF = 0x0a;
/** Of one UTF-16 unit. */
const UTF8_BYTES_MAX = 3;

/** Chained lines that are not on the disk yet, and who waits for them. */
export class PendingLines {
  #refused: Buffer | undefined;
  /** Lines as bytes, not as strings: what waits for the disk is nothing to the garbage collector. */
  #added = NOTHING;
  #addedBytes = 0;
  #waiters: Waiter[] = [];

  get bytes(): number {
    return this.#addedBytes + (this.#refused?.length ?? 0);
  }

  /** Whether somebody waits for one of them. */
  get awaited(): boolean {
    return this.#waiters.length > 0;
  }

  add(line: string): void {
    this.#makeRoom(line.length * UTF8_BYTES_MAX + 1);
    this.#addedBytes += this.#added.write(line, this.#addedBytes);
    this.#addedBytes = this.#added.writeUInt8(LF, this.#addedBytes);
  }

  /** All lines as one write. */
  take(): Buffer {
    const added = this.#added.subarray(0, this.#addedBytes);
    const batch = this.#refused === undefined ? added : Buffer.concat([this.#refused, added]);
    this.#refused = undefined;
    this.#added = NOTHING;
    this.#addedBytes = 0;
    return batch;
  }

  /** In front of what was added since. */
  putBack(batch: Buffer): void {
    this.#refused = batch;
  }

  #makeRoom(bytes: number): void {
    const needed = this.#addedBytes + bytes;
    if (needed <= this.#added.length) return;
    const roomier = Buffer.allocUnsafeSlow(Math.max(ROOM_BYTES_MIN, needed * 2));
    this.#added.copy(roomier, 0, 0, this.#addedBytes);
    this.#added = roomier;
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
