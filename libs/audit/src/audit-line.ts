import { hash } from 'node:crypto';
import { SanctumError, scrub } from '@sanctum/errors';
import type { AuditData } from './audit-options.js';

/** What the first line of a chain names as the one before it. */
export const GENESIS = '0'.repeat(64);
/** Of one line, its end included; a longer record is replaced by its size. */
export const LINE_BYTES_MAX = 16 * 1024;

/** One line of a chain. `prev` is the SHA-256 of the line before it, as it stands in the file. */
export interface AuditLine {
  /** Counts up from 1 without a gap. */
  readonly seq: number;
  readonly prev: string;
  /** ISO 8601, UTC, milliseconds. */
  readonly at: string;
  /** `model_served`, `request`, …; those of the log itself begin with `audit_`. */
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Where a chain ends: the number of its last line and that line's SHA-256. */
export interface ChainHead {
  readonly seq: number;
  readonly hash: string;
}

export const EMPTY_HEAD: ChainHead = { seq: 0, hash: GENESIS };

const EVENT = /^[a-z][a-z0-9_]{0,63}$/;
const HASH = /^[0-9a-f]{64}$/;

/** SHA-256 of a line without its line feed, hexadecimal. */
export function hashLine(line: string | Uint8Array): string {
  return hash('sha256', line);
}

/** The text of a line, without its line feed. Written once per request: no object is made for it. */
export function formatLine(line: AuditLine): string {
  const { seq, prev, at, event, data } = line;
  const head = `{"seq":${seq},"prev":"${prev}","at":"${at}","event":"${event}","data":`;
  const text = `${head}${JSON.stringify(data)}}`;
  if (text.length * 3 < LINE_BYTES_MAX || Buffer.byteLength(text) < LINE_BYTES_MAX) return text;
  return `${head}{"left_out_bytes":${Buffer.byteLength(text)}}}`;
}

/** What a line is made of. */
export interface Note {
  readonly event: string;
  readonly data: AuditData;
  readonly at: string;
}

/** The line that follows `former`, scrubbed, and where the chain ends with it. */
export function linkLine(
  { seq: former, hash: prev }: ChainHead,
  { event, data, at }: Note,
): { text: string; head: ChainHead } {
  const seq = former + 1;
  const text = formatLine({ seq, prev, at, event, data: scrub(data) as AuditData });
  return { text, head: { seq, hash: hashLine(text) } };
}

/** Throws `internal` for a name that may not stand in a line as it is. */
export function assertEventName(event: string): void {
  if (!EVENT.test(event)) throw new SanctumError('internal', `${event} is no audit event`);
}

/** ISO 8601 of the time that `now` tells, spelt once a millisecond. */
export class SpeltClock {
  readonly #now: () => number;
  #timeMs = NaN;
  #text = '';

  constructor(now: () => number) {
    this.#now = now;
  }

  read(): string {
    const nowMs = this.#now();
    if (nowMs !== this.#timeMs) {
      this.#timeMs = nowMs;
      this.#text = new Date(nowMs).toISOString();
    }
    return this.#text;
  }
}

/** Undefined when the text is no line of a chain. */
export function parseLine(text: string): AuditLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isLine(value) ? value : undefined;
}

function isLine(value: unknown): value is AuditLine {
  if (typeof value !== 'object' || value === null) return false;
  const { seq, prev, at, event, data } = value as Partial<Record<keyof AuditLine, unknown>>;
  return (
    Number.isSafeInteger(seq) &&
    Number(seq) > 0 &&
    matches(prev, HASH) &&
    matches(event, EVENT) &&
    typeof at === 'string' &&
    typeof data === 'object' &&
    data !== null
  );
}

function matches(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value);
}
