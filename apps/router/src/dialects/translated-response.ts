import type { ServerResponse } from 'node:http';
import {
  DIALECT_LIMITS,
  messagesError,
  type AnswerStamp,
  type AnswerStream,
  type Translation,
} from '@sanctum/dialects';
import type { Dialect } from '@sanctum/contracts';
import { SanctumError, toEnvelope, type ErrorEnvelope } from '@sanctum/errors';
import { EventStreamDecoder } from '@sanctum/routing';
import type { RouterLimits } from '../limits.js';
import type { ClientResponse } from './client-response.js';
import { headerOf, withoutContentHeaders } from './flat-headers.js';
import { readJsonAnswer, completionAsChunks } from './whole-answer.js';
import { WrappedResponse } from './wrapped-response.js';

/** Of the upstream's stream, until it is over or has failed. */
interface Events {
  readonly decoder: EventStreamDecoder;
  readonly stream: AnswerStream;
}

export interface TranslatedResponseOptions {
  readonly dialect: Exclude<Dialect, 'chat'>;
  readonly requestId: string;
  readonly limits: Pick<RouterLimits, 'translatedAnswerBytesMax'>;
}

type Mode =
  /** Bytes as they are. */
  | 'through'
  /** A whole answer, held until it can be translated. */
  | 'whole'
  /** An error body, held likewise. */
  | 'error'
  /** Event by event. */
  | 'stream'
  | 'over';

/** What an exchange answers through when the client speaks another dialect than chat. */
export class TranslatedResponse extends WrappedResponse implements ClientResponse {
  readonly #options: TranslatedResponseOptions;
  #mode: Mode = 'through';
  #translation: Translation | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #events: Events | undefined;

  constructor(response: ServerResponse, options: TranslatedResponseOptions) {
    super(response);
    this.#options = options;
  }

  passThrough(): void {
    this.#translation = undefined;
  }

  translate(translation: Translation): void {
    this.#translation = translation;
  }

  get isTranslating(): boolean {
    return this.#translation !== undefined;
  }

  destroy(): void {
    this.#mode = 'over';
    this.inner.destroy();
  }

  writeHead(status: number, headers: string[]): void {
    this.status = status;
    this.headers = headers;
    if (this.#options.dialect === 'messages') headers.push('request-id', this.#options.requestId);
    this.#mode = this.#modeOf(status, headers);
    if (this.#mode === 'through') this.inner.writeHead(status, headers);
    if (this.#mode !== 'stream') return;
    if (this.#translation?.stream !== true) {
      this.#fail(new SanctumError('upstream_failed', 'The upstream streams unasked.'));
      return;
    }
    if (headerOf(headers, 'content-encoding') !== undefined) {
      this.#fail(new SanctumError('upstream_failed', 'The upstream encoded its stream unasked.'));
      return;
    }
    this.#beginStream(this.#translation);
  }

  write(chunk: Buffer | string): boolean {
    switch (this.#mode) {
      case 'through':
        return this.inner.write(chunk);
      case 'stream':
        return this.#writeEvents(this.#translated(chunk));
      case 'whole':
      case 'error':
        this.#hold(chunk);
        return true;
      case 'over':
        return true;
    }
  }

  end(last?: Buffer | string, encoding?: 'latin1'): void {
    const mode = this.#mode;
    const chunk = typeof last === 'string' ? Buffer.from(last, encoding) : last;
    switch (mode) {
      case 'through':
        this.inner.end(chunk);
        return;
      case 'stream': {
        const rest = chunk === undefined ? '' : this.#translated(chunk);
        this.#mode = 'over';
        this.inner.end(rest + (this.#events?.stream.end() ?? ''));
        return;
      }
      case 'whole':
      case 'error':
        if (chunk !== undefined) this.#hold(chunk);
        this.#endHeld(mode);
        return;
      case 'over':
        return;
    }
  }

  #modeOf(status: number, headers: readonly string[]): Mode {
    if (status >= 400) return this.#options.dialect === 'messages' ? 'error' : 'through';
    if (this.#translation === undefined) return 'through';
    const type = headerOf(headers, 'content-type') ?? '';
    return type.toLowerCase().startsWith('text/event-stream') ? 'stream' : 'whole';
  }

  #hold(chunk: Buffer | string): void {
    const bytes = Buffer.from(chunk);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes <= this.#options.limits.translatedAnswerBytesMax) this.#held.push(bytes);
    else this.#held = [];
  }

  #endHeld(mode: 'whole' | 'error'): void {
    if (this.#mode === 'over') return;
    const body = Buffer.concat(this.#held);
    this.#held = [];
    if (mode === 'error') {
      this.#send(this.status, messagesError(errorOf(body), this.status));
      return;
    }
    const max = this.#options.limits.translatedAnswerBytesMax;
    try {
      if (this.#heldBytes > max) {
        throw new SanctumError('upstream_failed', `The upstream's answer exceeds ${max} bytes.`);
      }
      const encoding = headerOf(this.headers, 'content-encoding');
      this.#answer(readJsonAnswer(body, { encoding, bytesMax: max }));
    } catch (error) {
      this.#fail(error);
    }
  }

  #answer(completion: unknown): void {
    const translation = this.#translation;
    if (translation === undefined) return;
    if (!translation.stream) {
      this.#send(this.status, translation.answer(completion, this.#stamp()));
      return;
    }
    const stream = translation.openStream(this.#stamp());
    const events = completionAsChunks(completion).map((data) => stream.push(data));
    this.#mode = 'over';
    this.inner.writeHead(this.status, streamHeaders(this.headers));
    this.inner.end(events.join('') + stream.end());
  }

  #beginStream(translation: Translation): void {
    const stream = translation.openStream(this.#stamp());
    this.#events = { decoder: new EventStreamDecoder(), stream };
    this.inner.writeHead(this.status, streamHeaders(this.headers));
  }

  /**
   * Events for the client; a fault of the upstream ends the stream with one of its own, and what
   * follows is neither kept nor looked at.
   */
  #translated(chunk: Buffer | string): string {
    if (this.#events === undefined) return '';
    const { decoder, stream } = this.#events;
    let out = '';
    try {
      for (const { data } of decoder.push(Buffer.from(chunk))) out += stream.push(data);
      const { eventBytes } = DIALECT_LIMITS;
      if (decoder.heldBytes > eventBytes) {
        throw new SanctumError('upstream_failed', `An event exceeds ${eventBytes} bytes.`);
      }
      return out;
    } catch (error) {
      this.#events = undefined;
      return out + stream.fail(toEnvelope(error, 'router').body.error);
    }
  }

  #writeEvents(text: string): boolean {
    return text === '' ? true : this.inner.write(text);
  }

  #fail(error: unknown): void {
    const { status, body } = toEnvelope(error, 'router');
    const isMessages = this.#options.dialect === 'messages';
    this.#send(status, isMessages ? messagesError(body.error, status) : body);
  }

  #send(status: number, body: object): void {
    this.#mode = 'over';
    const bytes = Buffer.from(JSON.stringify(body));
    const headers = withoutContentHeaders(this.headers);
    headers.push('content-type', 'application/json', 'content-length', String(bytes.length));
    this.inner.writeHead(status, headers);
    this.inner.end(bytes);
  }

  #stamp(): AnswerStamp {
    const id = this.#options.requestId.replace(/[^A-Za-z0-9]/g, '').slice(0, 64);
    const model = this.#translation?.chat['model'];
    return {
      id,
      createdS: Math.floor(Date.now() / 1_000),
      model: typeof model === 'string' ? model : '',
    };
  }
}

function streamHeaders(headers: readonly string[]): string[] {
  const kept = withoutContentHeaders(headers);
  return [...kept, 'content-type', 'text/event-stream; charset=utf-8'];
}

/** The router's own errors, and those of backends as it names them. */
function errorOf(body: Buffer): ErrorEnvelope['error'] {
  const { error } = JSON.parse(body.toString('utf8')) as ErrorEnvelope;
  return error;
}
