import { CompletionStreamStripper, stripCompletion } from '@sanctum/dialects';
import { SanctumError } from '@sanctum/errors';
import { eventEnd } from '@sanctum/routing';
import type { ClientResponse } from '../dialects/client-response.js';
import { headerOf, withoutContentHeaders } from '../dialects/flat-headers.js';
import { readJsonAnswer } from '../dialects/whole-answer.js';
import { WrappedResponse } from '../dialects/wrapped-response.js';
import { sendError } from '../proxy/error-answer.js';

type Mode =
  /** Bytes as they are. */
  | 'through'
  /** A plain answer, held until it is whole. */
  | 'whole'
  /** Event by event. */
  | 'stream'
  | 'over';

/** What an event has in it when there may be a thought in it; the rest is not looked at. */
const SIGNS = ['<', '\\u003c', '\\u003C', '"reasoning'] as const;
const DATA_LINE = /^data: ?([^\r\n]*)$/gm;

/**
 * Passes the good answer of a backend on without its thoughts. Takes completions, of chat or of text;
 * of a stream whole events, as the relay writes them, and a part of an event that is too long for it
 * as it is.
 */
export class StrippedResponse extends WrappedResponse implements ClientResponse {
  readonly #bytesMax: number;
  readonly #stripper = new CompletionStreamStripper();
  #mode: Mode = 'through';
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(response: ClientResponse, { bytesMax }: { readonly bytesMax: number }) {
    super(response);
    this.#bytesMax = bytesMax;
  }

  destroy(): void {
    this.#mode = 'over';
    this.inner.destroy();
  }

  writeHead(status: number, headers: string[]): void {
    this.status = status;
    this.headers = headers;
    this.#mode = modeOf(headers);
    if (this.#mode === 'whole') return;
    if (this.#mode === 'stream' && headerOf(headers, 'content-encoding') !== undefined) {
      this.#fail(new SanctumError('upstream_failed', 'The upstream encoded its stream unasked.'));
      return;
    }
    this.inner.writeHead(status, headers);
  }

  write(chunk: Buffer | string): boolean {
    switch (this.#mode) {
      case 'through':
        return this.inner.write(bytesOf(chunk));
      case 'stream': {
        const out = this.#events(bytesOf(chunk));
        return out.length === 0 || this.inner.write(out);
      }
      case 'whole':
        this.#hold(bytesOf(chunk));
        return true;
      case 'over':
        return true;
    }
  }

  end(chunk: Buffer | string = '', encoding?: 'latin1'): void {
    const bytes = bytesOf(chunk, encoding);
    switch (this.#mode) {
      case 'through':
        this.inner.end(bytes);
        return;
      case 'stream': {
        const last = this.#events(bytes);
        this.#mode = 'over';
        this.inner.end(Buffer.concat([last, this.#owed()]));
        return;
      }
      case 'whole':
        this.#hold(bytes);
        this.#endHeld();
        return;
      case 'over':
        return;
    }
  }

  #hold(bytes: Buffer): void {
    this.#heldBytes += bytes.length;
    if (this.#heldBytes <= this.#bytesMax) {
      this.#held.push(bytes);
      return;
    }
    this.#held = [];
    this.#fail(
      new SanctumError('upstream_failed', `The upstream's answer exceeds ${this.#bytesMax} bytes.`),
    );
  }

  #endHeld(): void {
    if (this.#mode === 'over') return;
    const body = Buffer.concat(this.#held);
    this.#held = [];
    try {
      const encoding = headerOf(this.headers, 'content-encoding');
      const isSuspect = encoding !== undefined || hasSign(body);
      const completion = isSuspect
        ? readJsonAnswer(body, { encoding, bytesMax: this.#bytesMax })
        : undefined;
      const stripped = stripCompletion(completion);
      if (stripped === completion) this.#send(this.headers, body);
      else this.#sendJson(stripped);
    } catch (error) {
      this.#fail(error);
    }
  }

  #sendJson(completion: unknown): void {
    const bytes = Buffer.from(JSON.stringify(completion));
    const headers = withoutContentHeaders(this.headers);
    headers.push('content-type', 'application/json', 'content-length', String(bytes.length));
    this.#send(headers, bytes);
  }

  #send(headers: string[], body: Buffer): void {
    this.#mode = 'over';
    this.inner.writeHead(this.status, headers);
    this.inner.end(body);
  }

  #fail(error: unknown): void {
    this.#mode = 'over';
    sendError(this.inner, error, withoutContentHeaders(this.headers));
  }

  /** The same bytes where there is nothing to strip. */
  #events(bytes: Buffer): Buffer {
    if (this.#stripper.isIdle && !hasSign(bytes)) return bytes;
    const out: Buffer[] = [];
    let start = 0;
    while (start < bytes.length) {
      const end = eventEnd(bytes, start);
      const event = bytes.subarray(start, end < 0 ? bytes.length : end);
      out.push(...this.#event(event));
      start += event.length;
    }
    return Buffer.concat(out);
  }

  #event(event: Buffer): Buffer[] {
    if (this.#stripper.isIdle && !hasSign(event)) return [event];
    const data = [...event.toString('utf8').matchAll(DATA_LINE)].map(([, line]) => line);
    const stripped = this.#stripper.push(data.join('\n').replaceAll('\r', ''));
    switch (stripped.kind) {
      case 'same':
        return [event];
      case 'ending':
        return [this.#owed(), event];
      case 'nothing':
        return [];
      case 'data':
        return [Buffer.from(`data: ${stripped.data}\n\n`)];
    }
  }

  #owed(): Buffer {
    const events = this.#stripper.end().map((data) => `data: ${data}\n\n`);
    return Buffer.from(events.join(''));
  }
}

function modeOf(headers: readonly string[]): Mode {
  const type = headerOf(headers, 'content-type')?.toLowerCase() ?? '';
  if (type.startsWith('text/event-stream')) return 'stream';
  return type.includes('json') ? 'whole' : 'through';
}

function bytesOf(chunk: Buffer | string, encoding?: 'latin1'): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
}

function hasSign(bytes: Buffer): boolean {
  return SIGNS.some((sign) => bytes.includes(sign));
}
