const LF = 0x0a;
const CR = 0x0d;

export interface StreamEvent {
  /** Of the `event` field; empty when there was none. */
  readonly name: string;
  /** The `data` fields, joined by line feeds. */
  readonly data: string;
}

/**
 * Bytes of an event stream in, events with data out. Follows the WHATWG grammar: LF, CRLF or CR ends
 * a line, a colon starts a comment, several `data` fields of an event are joined, a leading
 * byte-order mark is skipped. Lines are decoded whole, so a character may be split over chunks.
 */
export class EventStreamDecoder {
  #partial: Uint8Array[] = [];
  #partialBytes = 0;
  #data: string[] = [];
  #dataCharacters = 0;
  #eventName = '';
  #afterCr = false;
  readonly #decoder = new TextDecoder();

  /** Of the event that is not complete yet, about: for the caller to bound. */
  get heldBytes(): number {
    return this.#partialBytes + this.#dataCharacters;
  }

  push(chunk: Uint8Array): StreamEvent[] {
    const events: StreamEvent[] = [];
    let start = 0;
    while (start < chunk.length) {
      if (this.#afterCr) {
        this.#afterCr = false;
        if (chunk[start] === LF) {
          start++;
          continue;
        }
      }
      const end = lineEnd(chunk, start);
      if (end < 0) {
        this.#keep(chunk.slice(start));
        break;
      }
      this.#afterCr = chunk[end] === CR;
      const event = this.#line(this.#takeLine(chunk.subarray(start, end)));
      if (event !== undefined) events.push(event);
      start = end + 1;
    }
    return events;
  }

  #keep(piece: Uint8Array): void {
    this.#partial.push(piece);
    this.#partialBytes += piece.length;
  }

  #takeLine(rest: Uint8Array): string {
    if (this.#partial.length === 0) return this.#decoder.decode(rest);
    const text = new TextDecoder();
    const head = this.#partial.map((piece) => text.decode(piece, { stream: true })).join('');
    this.#partial = [];
    this.#partialBytes = 0;
    return head + text.decode(rest);
  }

  #line(line: string): StreamEvent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (name === 'data') {
      this.#data.push(value);
      this.#dataCharacters += value.length;
    } else if (name === 'event') {
      this.#eventName = value;
    }
    return undefined;
  }

  #dispatch(): StreamEvent | undefined {
    const name = this.#eventName;
    const data = this.#data;
    this.#eventName = '';
    this.#data = [];
    this.#dataCharacters = 0;
    return data.length === 0 ? undefined : { name, data: data.join('\n') };
  }
}

function lineEnd(chunk: Uint8Array, start: number): number {
  for (let at = start; at < chunk.length; at++) {
    if (chunk[at] === LF || chunk[at] === CR) return at;
  }
  return -1;
}

/**
 * Index just after the last blank line of `bytes`, or 0: what lies before it are whole events. A
 * relay that forwards only whole events can end a dying stream with an event of its own.
 */
export function wholeEventsEnd(bytes: Uint8Array): number {
  for (let at = bytes.length - 1; at > 0; at--) {
    const byte = bytes[at];
    if (byte === LF) {
      const before = bytes[at - 1];
      if (before === LF || (before === CR && bytes[at - 2] === LF)) return at + 1;
    } else if (byte === CR && bytes[at - 1] === CR) {
      return at + 1;
    }
  }
  return 0;
}

/** Index just after the first blank line of `bytes` at or behind `from`, or -1: one event ends there. */
export function eventEnd(bytes: Uint8Array, from: number): number {
  for (let at = from; at + 1 < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== LF && byte !== CR) continue;
    if (bytes[at + 1] === byte) return at + 2;
    if (byte === LF && bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return -1;
}
