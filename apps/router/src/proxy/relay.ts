import { toEnvelope, type ErrorEnvelope, type SanctumError } from '@sanctum/errors';
import { wholeEventsEnd } from '@sanctum/routing';
import type { ClientResponse } from '../dialects/client-response.js';
import { ROUTER_SOURCE } from './error-answer.js';

const NOTHING = Buffer.alloc(0);
const LF = 0x0a;

export interface RelayOptions {
  /** The answer is an event stream. */
  readonly events: boolean;
  readonly eventBytesMax: number;
  /** How the client is told of a stream that died; as chat clients are, when absent. */
  readonly errorEvent?: ((body: ErrorEnvelope) => string) | undefined;
}

/**
 * Passes an answer on to the client. Of an event stream only whole events are passed on, so that a
 * stream which dies midway can end with an event of the router's own; an event longer than
 * `eventBytesMax` is let through in parts.
 */
export class Relay {
  readonly #response: ClientResponse;
  readonly #events: boolean;
  readonly #eventBytesMax: number;
  readonly #errorEvent: (body: ErrorEnvelope) => string;
  #tail: Buffer = NOTHING;
  #midEvent = false;

  constructor(response: ClientResponse, { events, eventBytesMax, errorEvent }: RelayOptions) {
    this.#response = response;
    this.#events = events;
    this.#eventBytesMax = eventBytesMax;
    this.#errorEvent = errorEvent ?? chatErrorEvent;
  }

  /** False when the client reads too slowly and the upstream should wait for `drain`. */
  write(chunk: Buffer): boolean {
    if (!this.#events) return this.#response.write(chunk);
    const last = chunk.length - 1;
    if (this.#tail.length === 0 && chunk[last] === LF && wholeEventsEnd(chunk) === last + 1) {
      this.#midEvent = false;
      return this.#response.write(chunk);
    }
    return this.#writeWholeEvents(this.#tail.length === 0 ? chunk : this.#withTail(chunk));
  }

  end(): void {
    if (this.#tail.length > 0) this.#response.end(this.#tail);
    else this.#response.end();
  }

  /** Ends a stream that died: one error event without `[DONE]`; a plain answer is cut off. */
  fail(error: SanctumError): void {
    if (!this.#events) {
      this.#response.destroy();
      return;
    }
    const { body } = toEnvelope(error, ROUTER_SOURCE);
    const separator = this.#midEvent ? '\n\n' : '';
    this.#response.end(separator + this.#errorEvent(body));
  }

  #withTail(chunk: Buffer): Buffer {
    return Buffer.concat([this.#tail, chunk]);
  }

  #writeWholeEvents(bytes: Buffer): boolean {
    const tooLong = bytes.length > this.#eventBytesMax;
    const whole = wholeEventsEnd(bytes);
    const end = whole === 0 && tooLong ? bytes.length : whole;
    this.#tail = bytes.subarray(end);
    if (end === 0) return true;
    this.#midEvent = whole !== end;
    return this.#response.write(bytes.subarray(0, end));
  }
}

function chatErrorEvent(body: ErrorEnvelope): string {
  return `data: ${JSON.stringify(body)}\n\n`;
}
