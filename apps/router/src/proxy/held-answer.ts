import type { ClientResponse } from '../dialects/client-response.js';
import type { AnswerHeaders } from './answer-head.js';

/** Node joins head and text to one write when both are strings that fit its buffer on the stack. */
const ONE_WRITE_BYTES_MAX = 12 * 1024;
/** Measured: at four requests under way waiting costs more than it saves, at eight it saves. */
const TOGETHER_MIN = 8;

/** An answer held whole: an upstream's error, or a plain answer that fits the limit. */
export class HeldAnswer {
  status: number;
  readonly headers: AnswerHeaders;
  readonly body: Buffer;
  /** The body was longer than its limit, or broke off. */
  readonly isPartial: boolean;
  #text: string | undefined;

  constructor(answer: Pick<HeldAnswer, 'status' | 'headers' | 'body' | 'isPartial'>) {
    this.status = answer.status;
    this.headers = answer.headers;
    this.body = answer.body;
    this.isPartial = answer.isPartial;
  }

  /** The body with one character per byte; made once for all who look at it. */
  get text(): string {
    return (this.#text ??= this.body.toString('latin1'));
  }
}

/**
 * After `writeHead`: the body, as cheaply as Node sends it. With so many `underWay` it leaves
 * together with the other answers of this turn of the event loop: who waits for several of them is
 * woken once. With fewer it leaves at once, as what follows here overlaps with the client's work.
 */
export function sendWhole(response: ClientResponse, answer: HeldAnswer, underWay: number): void {
  if (answer.body.length > ONE_WRITE_BYTES_MAX) response.end(answer.body);
  else if (underWay < TOGETHER_MIN) response.end(answer.text, 'latin1');
  else setImmediate(() => response.end(answer.text, 'latin1'));
}
