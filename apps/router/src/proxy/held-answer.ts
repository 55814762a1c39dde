import type { ClientResponse } from '../dialects/client-response.js';
import type { AnswerHeaders } from './answer-head.js';

/** Node joins head and text to one write when both are strings that fit its buffer on the stack. */
const ONE_WRITE_BYTES_MAX = 12 * 1024;

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

/** After `writeHead`: the body, as cheaply as Node sends it. */
export function sendWhole(response: ClientResponse, answer: HeldAnswer): void {
  if (answer.body.length > ONE_WRITE_BYTES_MAX) response.end(answer.body);
  else response.end(answer.text, 'latin1');
}
