import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Admitted } from '@sanctum/service-kit';
import type { Transport } from '../upstream/upstream.js';

const REQUEST_ID = /^[\w.:+/=@-]{1,128}$/;

/** Not passed on: they belong to one connection, or to the client's relation with the router. */
const OWN_REQUEST_HEADERS: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect',
  'authorization',
  'x-api-key',
  'cookie',
  'origin',
  'referer',
  'x-request-id',
  // An answer must be readable to find its first content.
  'accept-encoding',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'x-sanctum-client',
]);

/** `X-Request-ID` of the client when it is one short token, else a new UUID. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** The headers an upstream gets, as a flat list of names and values. */
export function forwardedHeaders(request: IncomingMessage, requestId: string): string[] {
  const { rawHeaders } = request;
  const listed = listedInConnection(request.headers.connection);
  const headers = ['x-request-id', requestId];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    if (OWN_REQUEST_HEADERS.has(name) || listed?.has(name) === true) continue;
    headers.push(name, rawHeaders[index + 1] ?? '');
  }
  return headers;
}

/**
 * Who the router asks for, so that an engine can be fair to each: a certificate's name, else an
 * address. Only for upstreams that know the router by its certificate; nobody else is told.
 */
export function callerHeaders({ client }: Admitted, transport: Transport): string[] {
  return transport === 'mtls' ? ['x-sanctum-client', client] : [];
}

/** Names in a `Connection` header other than the usual ones; they end at this hop. */
export function listedInConnection(
  value: string | string[] | undefined,
): ReadonlySet<string> | undefined {
  if (value === undefined || value === 'keep-alive' || value === 'close') return undefined;
  return new Set(
    String(value)
      .toLowerCase()
      .split(/\s*,\s*/),
  );
}
