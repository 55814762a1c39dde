/**
 * What an event stream has shown so far: `waiting` for content, `content` (or a finish reason) seen,
 * `error` event before any content, `done` without content.
 */
export type StreamVerdict = 'waiting' | 'content' | 'error' | 'done';

const LF = 0x0a;
const CR = 0x0d;
const DATA_FIELD = 'data';
const DONE = '[DONE]';

/**
 * Bytes of an event stream in, verdict out. Follows the WHATWG event-stream grammar: LF, CRLF or CR
 * ends a line, a colon starts a comment, several `data` fields of an event are joined, a leading
 * byte-order mark is skipped. Lines are decoded whole, so a character may be split over chunks.
 */
export class FirstContentDetector {
  #verdict: StreamVerdict = 'waiting';
  #partial: Uint8Array[] = [];
  #data: string[] = [];
  #eventName = '';
  #afterCr = false;
  readonly #decoder = new TextDecoder();

  get verdict(): StreamVerdict {
    return this.#verdict;
  }

  /** Reads on until the first verdict other than `waiting`, which is final. */
  push(chunk: Uint8Array): StreamVerdict {
    let start = 0;
    while (this.#verdict === 'waiting' && start < chunk.length) {
      if (this.#afterCr) {
        this.#afterCr = false;
        if (chunk[start] === LF) {
          start++;
          continue;
        }
      }
      const end = lineEnd(chunk, start);
      if (end < 0) {
        this.#partial.push(chunk.slice(start));
        break;
      }
      this.#afterCr = chunk[end] === CR;
      this.#line(this.#takeLine(chunk.subarray(start, end)));
      start = end + 1;
    }
    return this.#verdict;
  }

  #takeLine(rest: Uint8Array): string {
    if (this.#partial.length === 0) return this.#decoder.decode(rest);
    const text = new TextDecoder();
    const head = this.#partial.map((piece) => text.decode(piece, { stream: true })).join('');
    this.#partial = [];
    return head + text.decode(rest);
  }

  #line(line: string): void {
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (name === DATA_FIELD) this.#data.push(value);
    else if (name === 'event') this.#eventName = value;
  }

  #dispatch(): void {
    if (this.#data.length > 0) {
      this.#verdict = judgeEvent(this.#eventName, this.#data.join('\n'));
    }
    this.#data = [];
    this.#eventName = '';
  }
}

function lineEnd(chunk: Uint8Array, start: number): number {
  for (let at = start; at < chunk.length; at++) {
    if (chunk[at] === LF || chunk[at] === CR) return at;
  }
  return -1;
}

interface Delta {
  readonly content?: unknown;
  readonly reasoning_content?: unknown;
  readonly reasoning?: unknown;
  readonly refusal?: unknown;
  readonly tool_calls?: unknown;
  readonly function_call?: unknown;
  readonly audio?: unknown;
}

interface StreamChoice {
  readonly delta?: Delta | null;
  readonly text?: unknown;
  readonly finish_reason?: unknown;
}

/** Verdict of one event: the first non-empty delta or a finish reason is content. */
function judgeEvent(eventName: string, data: string): StreamVerdict {
  if (data === DONE) return 'done';
  const event = parseObject(data);
  if (event === undefined) return 'waiting';
  if (eventName === 'error' || holds(event['error'])) return 'error';
  const choices = event['choices'];
  if (!Array.isArray(choices)) return 'waiting';
  return (choices as (StreamChoice | null)[]).some(hasContent) ? 'content' : 'waiting';
}

function hasContent(choice: StreamChoice | null): boolean {
  if (choice === null || typeof choice !== 'object') return false;
  const { delta, text, finish_reason: finishReason } = choice;
  return (
    holds(finishReason) || holds(text) || (holds(delta) && Object.values(parts(delta)).some(holds))
  );
}

function parts(delta: Delta | null | undefined): Delta {
  const { content, reasoning_content, reasoning, refusal, tool_calls, function_call, audio } =
    delta ?? {};
  return { content, reasoning_content, reasoning, refusal, tool_calls, function_call, audio };
}

/** A non-empty string, array or object. */
function holds(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) ? value.length > 0 : Object.keys(value).length > 0;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
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
