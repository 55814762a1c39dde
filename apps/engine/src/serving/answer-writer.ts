import type { ServerResponse } from 'node:http';
import { SSE_DONE, sseEvent } from '@sanctum/contracts';
import { toEnvelope, type SanctumError } from '@sanctum/errors';
import type { Delta, Finish, TokenReport } from '@sanctum/generation';
import { usageOf, type Dialect } from './dialect.js';

/** Unsent bytes of one stream; a client that leaves more unread loses its answer. */
export const STREAM_BACKLOG_BYTES_MAX = 1024 * 1024;
export const ERROR_SOURCE = 'engine';

export interface AnswerWriterOptions {
  readonly response: ServerResponse;
  readonly dialect: Dialect;
  readonly headers: Readonly<Record<string, string>>;
}

/** Puts an answer on the wire. `fail` says whether the client could be told; if not, the caller may. */
export interface AnswerWriter {
  /** False when the client does not keep up: stop computing for it. */
  write(delta: Delta): boolean;
  end(finish: Finish): void;
  fail(error: SanctumError): boolean;
}

/** Server-sent events: what one step brought leaves in one write. */
export class StreamWriter implements AnswerWriter {
  readonly #options: AnswerWriterOptions;
  readonly #includeUsage: boolean;

  constructor(options: AnswerWriterOptions & { readonly includeUsage: boolean }) {
    this.#options = options;
    this.#includeUsage = options.includeUsage;
  }

  write({ text, reasoning = '', logprobs }: Delta): boolean {
    if (text === '' && reasoning === '' && (logprobs?.length ?? 0) === 0) return true;
    const piece = { text, reasoning, logprobs, finish: null };
    return this.#send(sseEvent(this.#options.dialect.chunk(piece, this.#laterUsage)));
  }

  end(finish: Finish): void {
    const { dialect, response } = this.#options;
    const last = { text: '', reasoning: '', logprobs: undefined, finish: finish.reason };
    const usage = this.#includeUsage ? sseEvent(dialect.usageChunk(usageOf(finish))) : '';
    this.#send(sseEvent(dialect.chunk(last, this.#laterUsage)) + usage + SSE_DONE);
    response.end();
  }

  /** In-band once events have gone out: an error event, and no `[DONE]`. */
  fail(error: SanctumError): boolean {
    const { response } = this.#options;
    if (!response.headersSent) return false;
    response.end(sseEvent(toEnvelope(error, ERROR_SOURCE).body));
    return true;
  }

  /** Every event but the last says that usage is still to come, when it was asked for. */
  get #laterUsage(): null | undefined {
    return this.#includeUsage ? null : undefined;
  }

  #send(events: string): boolean {
    const { response, headers } = this.#options;
    if (!response.headersSent) {
      response.writeHead(200, {
        ...headers,
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
      });
    }
    response.write(events);
    return response.writableLength <= STREAM_BACKLOG_BYTES_MAX;
  }
}

/** One JSON object when the answer is complete. */
export class WholeWriter implements AnswerWriter {
  readonly #options: AnswerWriterOptions;
  readonly #reports: TokenReport[] = [];
  #reported = false;
  #text = '';
  #reasoning = '';

  constructor(options: AnswerWriterOptions) {
    this.#options = options;
  }

  write({ text, reasoning = '', logprobs }: Delta): boolean {
    this.#text += text;
    this.#reasoning += reasoning;
    if (logprobs !== undefined) {
      this.#reported = true;
      this.#reports.push(...logprobs);
    }
    return true;
  }

  end(finish: Finish): void {
    const { response, dialect, headers } = this.#options;
    const logprobs = this.#reported ? this.#reports : undefined;
    const piece = {
      ...{ text: this.#text, reasoning: this.#reasoning },
      ...{ logprobs, finish: finish.reason },
    };
    const body = JSON.stringify(dialect.whole(piece, usageOf(finish)));
    response.writeHead(200, {
      ...headers,
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
    });
    response.end(body);
  }

  fail(): boolean {
    return false;
  }
}
