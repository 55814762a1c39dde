import type { ServerResponse } from 'node:http';
import { toEnvelope } from '@sanctum/errors';

/** Who speaks when no backend does. */
export const ROUTER_SOURCE = 'router';

/** Answers with the OpenAI envelope, unless the head is already out: then the answer is cut off. */
export function sendError(
  response: ServerResponse,
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
