import { SanctumError, toEnvelope } from '@sanctum/errors';
import type { AttemptOutcome } from '@sanctum/routing';
import type { ClientResponse } from '../dialects/client-response.js';
import type { HeldAnswer } from './held-answer.js';

/** Who speaks when no backend does. */
export const ROUTER_SOURCE = 'router';

/** Answers with the OpenAI envelope, unless the head is already out: then the answer is cut off. */
export function sendError(
  response: ClientResponse,
  error: unknown,
  head: readonly string[],
): number {
  const { status, body, retryAfterS } = toEnvelope(error, ROUTER_SOURCE);
  if (response.headersSent) {
    response.destroy();
    return status;
  }
  const bytes = Buffer.from(JSON.stringify(body));
  const headers = [...head, 'content-type', 'application/json'];
  headers.push('content-length', String(bytes.length));
  if (retryAfterS !== undefined) headers.push('retry-after', String(retryAfterS));
  response.writeHead(status, headers);
  response.end(bytes);
  return status;
}

/**
 * The body of a backend's error answer as an OpenAI envelope with `source`. An envelope keeps its
 * fields and gains the source; anything else (HTML, a bare string) becomes the message of one.
 */
export function namedErrorBody(
  body: Buffer,
  { status, backend }: { status: number; backend: string },
): { bytes: Buffer; errorCode: string | undefined } {
  const found = errorFields(body);
  if (found !== undefined && typeof found['source'] === 'string') {
    return { bytes: body, errorCode: stringOf(found['code']) };
  }
  const error = {
    message: `Backend "${backend}" answered ${status} without an error it could be asked about.`,
    type: status >= 500 || status === 429 ? 'api_error' : 'invalid_request_error',
    code: `upstream_${status}`,
    param: null,
    ...found,
    source: backend,
  };
  return {
    bytes: Buffer.from(JSON.stringify({ error })),
    errorCode: stringOf(found?.['code']),
  };
}

/** A backend's error as the client gets it; a body cut short or compressed is replaced. */
export function sendBackendError(
  response: ClientResponse,
  answer: HeldAnswer,
  { headers, backend }: { headers: readonly string[]; backend: string },
): void {
  const { status, isPartial } = answer;
  const isPlain = !isPartial && answer.headers['content-encoding'] === undefined;
  const { bytes } = namedErrorBody(isPlain ? answer.body : EMPTY, { status, backend });
  response.writeHead(status, withErrorBody(headers, bytes.length));
  response.end(bytes);
}

const EMPTY = Buffer.alloc(0);
const MESSAGE_CHARS_MAX = 2_000;

function errorFields(body: Buffer): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'));
    const { error, detail, message } = (parsed ?? {}) as Record<string, unknown>;
    if (typeof error === 'object' && error !== null) return { ...error };
    const text = [error, detail, message].find((value) => typeof value === 'string');
    return text === undefined ? undefined : { message: text.slice(0, MESSAGE_CHARS_MAX) };
  } catch {
    return undefined;
  }
}

function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The head of a backend's answer with the router's spelling of its error body. */
function withErrorBody(headers: readonly string[], bytes: number): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] ?? '';
    if (!name.startsWith('content-')) kept.push(name, headers[index + 1] ?? '');
  }
  return [...kept, 'content-type', 'application/json', 'content-length', String(bytes)];
}

/** What a client reads in place of the rest of its stream. */
export function brokenStream(backend: string, outcome: AttemptOutcome): SanctumError {
  switch (outcome.kind) {
    case 'stall':
      return new SanctumError('upstream_timeout', `Backend "${backend}" went silent mid-answer.`);
    case 'deadline':
      return new SanctumError(
        'upstream_timeout',
        `Backend "${backend}" was still answering when the time for the request (total_s) was over.`,
      );
    default:
      return new SanctumError('upstream_failed', `Backend "${backend}" broke off mid-answer.`);
  }
}

/**
 * What a server error says beyond its status: its code, and what kind of body it had in one word.
 * Two targets that agree in both have the request to blame.
 */
function errorTraits(body: Buffer): { errorCode?: string; bodyClass: string } {
  const fields = errorFields(body);
  const errorCode = stringOf(fields?.['code']);
  const type = stringOf(fields?.['type']);
  if (errorCode !== undefined) return { errorCode, bodyClass: `code:${errorCode}` };
  if (type !== undefined) return { bodyClass: `type:${type}` };
  if (fields !== undefined) return { bodyClass: 'json' };
  const start = body.subarray(0, 64).toString('latin1').trimStart();
  if (start === '') return { bodyClass: 'empty' };
  return { bodyClass: start.startsWith('<') ? 'html' : 'text' };
}

interface Ended {
  readonly outcome: AttemptOutcome;
  readonly answer: HeldAnswer | undefined;
}

/** What kind of 5xx it was is in its body: one that says it is loading is neutral, for one. */
export function withErrorTraits({ outcome, answer }: Ended): AttemptOutcome {
  if (outcome.kind !== 'answered' || outcome.status < 500 || answer?.isPartial !== false) {
    return outcome;
  }
  return { ...outcome, ...errorTraits(answer.body) };
}
