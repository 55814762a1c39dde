import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  BACKSLASH,
  QUOTE,
  stringEnd,
} from './json-bytes.js';

/** Bytes `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Where the top-level `model` of a JSON object lies in its raw bytes. */
export interface ModelField {
  /** Every top-level `model` value, in order; JSON readers differ on which duplicate wins. */
  readonly values: readonly ByteRange[];
  /** Just after the opening brace. */
  readonly bodyStart: number;
  readonly isEmptyObject: boolean;
}

const MODEL_KEY = new TextEncoder().encode('"model"');
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Finds the top-level `model` without re-serialising. `body` must be UTF-8 bytes that `JSON.parse`
 * accepts as an object; strings are skipped by a native byte search, so a long prompt costs little.
 */
export function findModelField(body: Uint8Array): ModelField {
  const values: ByteRange[] = [];
  const bodyStart = skipBlank(body, 0) + 1;
  let at = skipBlank(body, bodyStart);
  const isEmptyObject = body[at] === CLOSE_BRACE;
  while (at < body.length && body[at] !== CLOSE_BRACE) {
    const keyEnd = stringEnd(body, at);
    const isModel = isModelKey(body, at, keyEnd);
    const start = skipBlank(body, skipBlank(body, keyEnd) + 1);
    const end = valueEnd(body, start);
    if (isModel) values.push({ start, end });
    at = skipBlank(body, end);
    if (body[at] === COMMA) at = skipBlank(body, at + 1);
  }
  return { values, bodyStart, isEmptyObject };
}

/** A model name ready to be spliced into any number of bodies. */
export interface ModelSplice {
  readonly name: string;
  /** The name as a JSON string. */
  readonly value: Uint8Array;
}

export function prepareModel(name: string): ModelSplice {
  return { name, value: encoder.encode(JSON.stringify(name)) };
}

/**
 * The same bytes with every top-level `model` value replaced, or with one inserted where there was
 * none. Returns `body` itself when nothing changes.
 */
export function spliceModel(body: Uint8Array, field: ModelField, model: ModelSplice): Uint8Array {
  const { value } = model;
  if (field.values.length === 0) {
    const text = `"model":${JSON.stringify(model.name)}${field.isEmptyObject ? '' : ','}`;
    const at = { start: field.bodyStart, end: field.bodyStart };
    return replaceRanges(body, [at], encoder.encode(text));
  }
  const same = field.values.every(
    ({ start, end }) => end - start === value.length && bytesEqual(body, start, value),
  );
  return same ? body : replaceRanges(body, field.values, value);
}

function replaceRanges(
  body: Uint8Array,
  ranges: readonly ByteRange[],
  replacement: Uint8Array,
): Uint8Array {
  const removed = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  const out = new Uint8Array(body.length - removed + ranges.length * replacement.length);
  let from = 0;
  let to = 0;
  for (const { start, end } of ranges) {
    out.set(body.subarray(from, start), to);
    to += start - from;
    out.set(replacement, to);
    to += replacement.length;
    from = end;
  }
  out.set(body.subarray(from), to);
  return out;
}

/** A key may be written with escapes: `"mod\u0065l"` is the same key. */
function isModelKey(body: Uint8Array, start: number, end: number): boolean {
  if (end - start === MODEL_KEY.length && bytesEqual(body, start, MODEL_KEY)) return true;
  const key = body.subarray(start, end);
  return key.includes(BACKSLASH) && JSON.parse(decoder.decode(key)) === 'model';
}

function bytesEqual(body: Uint8Array, start: number, expected: Uint8Array): boolean {
  for (let index = 0; index < expected.length; index++) {
    if (body[start + index] !== expected[index]) return false;
  }
  return true;
}

function valueEnd(body: Uint8Array, start: number): number {
  switch (body[start]) {
    case QUOTE:
      return stringEnd(body, start);
    case OPEN_BRACE:
    case OPEN_BRACKET:
      return containerEnd(body, start);
    default:
      return scalarEnd(body, start);
  }
}

function containerEnd(body: Uint8Array, start: number): number {
  let depth = 0;
  let at = start;
  while (at < body.length) {
    const byte = body[at];
    if (byte === QUOTE) {
      at = stringEnd(body, at);
      continue;
    }
    at++;
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
    if (depth === 0) return at;
  }
  return at;
}

function scalarEnd(body: Uint8Array, start: number): number {
  let at = start;
  while (at < body.length) {
    const byte = body[at] ?? 0;
    if (byte <= 0x20 || byte === COMMA || byte === CLOSE_BRACE) return at;
    at++;
  }
  return at;
}

function skipBlank(body: Uint8Array, start: number): number {
  let at = start;
  while (at < body.length && (body[at] ?? 0) <= 0x20) at++;
  return at;
}
