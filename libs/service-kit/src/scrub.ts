import { types } from 'node:util';

const { isDate, isNativeError } = types;
const SECRET = /(^|[-_]|[a-z](?=[A-Z]))(authorization|cookie|token|key|secret|password)$/i;
const CONTENT = /^(body|messages|prompt|content|completion)$/i;
const BEARER = /\b(Bearer|Basic)\s+[^\s"\\]+/gi;
const USERINFO = /(\w+:\/\/)[^/\s"@]+@/g;
const DEPTH_MAX = 6;
const ENTRIES_MAX = 100;

/**
 * A copy fit for a log: values of secret names replaced, request and answer text left out, errors
 * spelt out with their causes, depth and breadth bounded.
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
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, ENTRIES_MAX)
      .map(([name, entry]) => [name, scrubNamed(name, entry, depth)]),
  );
}

/** Credentials that travel inside text: authorization values and the user part of URLs. */
export function scrubText(text: string): string {
  return text.replace(BEARER, '$1 [scrubbed]').replace(USERINFO, '$1[scrubbed]@');
}

function scrubNamed(name: string, value: unknown, depth: number): unknown {
  if (value === undefined || value === null) return value;
  if (SECRET.test(name)) return '[scrubbed]';
  if (CONTENT.test(name)) return '[left out]';
  return scrub(value, depth + 1);
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
