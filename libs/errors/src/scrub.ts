import { types } from 'node:util';

const { isDate, isNativeError } = types;
const SECRET = /(^|[-_]|[a-z](?=[A-Z]))(authorization|cookie|token|key|secret|password)$/i;
const CONTENT = /^(body|messages|prompt|content|completion)$/i;
const BEARER = /\b(Bearer|Basic)\s+[^\s"\\]+/gi;
const SPACE = /\s/;
/** To the last `@` before a path, as URLs are read. */
const USERINFO = /(\w+:\/\/)[^/?#\s"]+@/g;
const DEPTH_MAX = 6;
const ENTRIES_MAX = 100;
/** Names whose kind is remembered: those of our own records, of which there are few. */
const NAMES_REMEMBERED_MAX = 512;

type NameKind = 'plain' | 'secret' | 'content';
const kinds = new Map<string, NameKind>();

/**
 * The one scrubber of logs and audits. A value fit for either: values of secret names replaced,
 * request and answer text left out, errors spelt out with their causes, depth and breadth bounded.
 * It is the value itself where nothing had to go, else a copy.
 */
export function scrub(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return scrubText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= DEPTH_MAX) return '[deep]';
  if (isNativeError(value)) return scrubError(value, depth);
  if (isDate(value)) return value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) {
    return value.slice(0, ENTRIES_MAX).map((entry) => scrub(entry, depth + 1));
  }
  return scrubEntries(value, depth);
}

function scrubEntries(value: object, depth: number): unknown {
  const entries = value as Readonly<Record<string, unknown>>;
  const names = Object.keys(entries);
  let copy: Record<string, unknown> | undefined =
    isPlain(value) && names.length <= ENTRIES_MAX ? undefined : {};
  const end = Math.min(names.length, ENTRIES_MAX);
  for (let at = 0; at < end; at++) {
    const name = names[at] ?? '';
    const entry = entries[name];
    const clean = name === '__proto__' ? undefined : scrubNamed(name, entry, depth);
    if (clean !== entry) copy ??= firstEntries(entries, names.slice(0, at));
    if (copy !== undefined && name !== '__proto__') copy[name] = clean;
  }
  return copy ?? value;
}

function isPlain(value: object): boolean {
  return Object.getPrototypeOf(value) === Object.prototype;
}

function firstEntries(
  entries: Readonly<Record<string, unknown>>,
  names: readonly string[],
): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, entries[name]]));
}

/** Credentials that travel inside text: authorization values and the user part of URLs. */
export function scrubText(text: string): string {
  // Most of what passes here is neither: a look is a tenth of a replacement.
  const named = SPACE.test(text) ? text.replace(BEARER, '$1 [scrubbed]') : text;
  return named.includes('@') ? named.replace(USERINFO, '$1[scrubbed]@') : named;
}

function scrubNamed(name: string, value: unknown, depth: number): unknown {
  if (value === undefined || value === null) return value;
  switch (kindOf(name)) {
    case 'secret':
      return '[scrubbed]';
    case 'content':
      return '[left out]';
    case 'plain':
      return scrub(value, depth + 1);
  }
}

function kindOf(name: string): NameKind {
  const known = kinds.get(name);
  if (known !== undefined) return known;
  const kind = SECRET.test(name) ? 'secret' : CONTENT.test(name) ? 'content' : 'plain';
  if (kinds.size < NAMES_REMEMBERED_MAX) kinds.set(name, kind);
  return kind;
}

function scrubError(error: Error, depth: number): unknown {
  return {
    type: error.name,
    message: scrubText(error.message),
    ...('code' in error ? { code: String(error.code) } : {}),
    ...(error.stack === undefined ? {} : { stack: scrubText(error.stack) }),
    ...(error.cause === undefined ? {} : { cause: scrub(error.cause, depth + 1) }),
  };
}
