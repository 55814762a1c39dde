import type { IncomingMessage } from 'node:http';
import { SanctumError } from '@sanctum/errors';
import type { RouterLimits } from '../limits.js';
import type { Admission } from './admission.js';

const EMPTY = Buffer.alloc(0);

export interface BodyEvents {
  complete(body: Buffer): void;
  /** Node reads the rest and drops it, within `requestReadMs`, so that the client sees the answer. */
  refused(error: SanctumError): void;
}

/** Reads a request body into one buffer, within the limit of one body and of all of them. */
export class RequestBody {
  #pieces: Buffer[] = [];
  #bytes = 0;
  #reserved = 0;
  /** Complete or refused: what comes later is dropped. */
  #isOver = false;
  readonly #limits: RouterLimits;
  readonly #admission: Admission;
  readonly #events: BodyEvents;

  constructor(shared: { limits: RouterLimits; admission: Admission }, events: BodyEvents) {
    this.#limits = shared.limits;
    this.#admission = shared.admission;
    this.#events = events;
  }

  /** Bytes held of the shared limit. */
  get reservedBytes(): number {
    return this.#reserved;
  }

  /** A body of declared length is complete with its last byte, before the stream says so. */
  read(request: IncomingMessage): void {
    const declared = Number(request.headers['content-length'] ?? 0);
    request.on('data', (piece: Buffer) => {
      this.#take(piece);
      if (this.#bytes === declared) this.#complete();
    });
    request.on('end', () => this.#complete());
    if (declared > this.#limits.bodyBytesMax) this.#refuse(this.#tooLarge());
  }

  #take(piece: Buffer): void {
    if (this.#isOver) return;
    this.#bytes += piece.length;
    if (this.#bytes > this.#limits.bodyBytesMax) {
      this.#refuse(this.#tooLarge());
    } else if (this.#admission.tryReserve(piece.length)) {
      this.#reserved += piece.length;
      this.#pieces.push(piece);
    } else {
      this.#refuse(
        new SanctumError('queue_full', 'The router holds as many request bytes as it may; wait.', {
          retryAfterS: 1,
        }),
      );
    }
  }

  #complete(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#events.complete(this.#joined());
  }

  #joined(): Buffer {
    const [first] = this.#pieces;
    const body = this.#pieces.length > 1 ? Buffer.concat(this.#pieces, this.#bytes) : first;
    this.#pieces = [];
    return body ?? EMPTY;
  }

  #refuse(error: SanctumError): void {
    this.#isOver = true;
    this.#pieces = [];
    this.#events.refused(error);
  }

  #tooLarge(): SanctumError {
    return new SanctumError(
      'body_too_large',
      `The body exceeds ${this.#limits.bodyBytesMax} bytes, the limit of ` +
        'services.router.limits.body_mb.',
    );
  }
}
