import type { ServerResponse } from 'node:http';
import {
  isSanctumError,
  messageOf,
  SanctumError,
  toEnvelope,
  type ErrorCode,
} from '@sanctum/errors';

const CODE_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid_request',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'request_timeout',
  413: 'body_too_large',
  415: 'invalid_request',
  422: 'invalid_request',
  429: 'queue_full',
  431: 'headers_too_large',
  503: 'draining',
};

/** Fastify only says that it does not like the type. */
const NOT_JSON = 'Send the body as JSON, with "Content-Type: application/json".';

/** What Fastify, Nest and body parsers throw, as the catalogue's error; the rest stays as it is. */
export function asKnownError(error: unknown): unknown {
  if (isSanctumError(error)) return error;
  const status = statusOf(error);
  const code = status === undefined ? undefined : CODE_BY_STATUS[status];
  if (code === undefined) return error;
  const message = status === 415 ? NOT_JSON : withoutQuery(messageOf(error));
  return new SanctumError(code, message, { cause: error });
}

/** Nest names the whole target of a route it does not have; some put keys into queries. */
function withoutQuery(message: string): string {
  return message.replace(/(\/\S*?)\?\S*/g, '$1');
}

export interface ErrorReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** A defect of ours: log it with its stack. */
  readonly defect: boolean;
}

/** Status, headers and OpenAI envelope for anything thrown while a request was served. */
export function errorReply(error: unknown, source: string): ErrorReply {
  const known = asKnownError(error);
  const { status, body, retryAfterS } = toEnvelope(known, source);
  return {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      ...(retryAfterS === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterS)) }),
    },
    body: JSON.stringify(body),
    defect: !isSanctumError(known),
  };
}

/** Answers on the raw response; ends the connection when an answer is already on its way. */
export function sendError(response: ServerResponse, reply: ErrorReply): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(reply.status, {
    ...reply.headers,
    'content-length': Buffer.byteLength(reply.body),
  });
  response.end(reply.body);
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  if ('getStatus' in error && typeof error.getStatus === 'function') {
    const status: unknown = error.getStatus.call(error);
    return typeof status === 'number' ? status : undefined;
  }
  if ('statusCode' in error && typeof error.statusCode === 'number') return error.statusCode;
  return undefined;
}
