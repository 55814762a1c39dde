import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { SanctumError } from '@sanctum/errors';
import { openEdge } from '../dialects/edge.js';
import { sendError } from './error-answer.js';
import { Exchange } from './exchange.js';
import type { ProxyContext } from './proxy-context.js';
import { pathBelowV1, requestIdOf } from './request-head.js';

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Answered by the router itself, in Nest, whatever the method. */
const CONTROL_PATHS: ReadonlySet<string> = new Set(['/models', '/route', '/backends']);

/**
 * Takes requests straight from Node's HTTP server: what lies below `/v1/` and is not the router's
 * own goes to a backend without passing through Nest, the rest goes to `control`.
 */
export function openFrontDoor(context: ProxyContext, control: RequestHandler): RequestHandler {
  return (request, response) => {
    if (!isLoopback(request.socket.remoteAddress)) {
      refuse(request, response, STRANGER);
      return;
    }
    const target = request.url ?? '/';
    if (!target.startsWith('/v1/')) {
      control(request, response);
      return;
    }
    const below = pathBelowV1(target);
    if (below === undefined) {
      refuse(request, response, UNSAFE_PATH);
    } else if (isControl(request.method, below)) {
      control(request, response);
    } else {
      proxy(context, { request, response, target: below });
    }
  };
}

const STRANGER = new SanctumError(
  'unauthorized',
  'The router answers loopback clients only; reach it from the machine it runs on.',
);
const UNSAFE_PATH = new SanctumError(
  'invalid_request',
  'The path contains dot segments, empty segments or backslashes.',
);

interface Incoming {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

function proxy(
  context: ProxyContext,
  { request, response, target }: { target: string } & Incoming,
): void {
  const refusal = context.admission.refusal();
  if (refusal !== undefined) {
    refuse(request, response, refusal);
    return;
  }
  const requestId = requestIdOf(request);
  const edge = openEdge({ request, response, target, requestId, limits: context.limits });
  const answer = edge?.response ?? response;
  new Exchange(context, { request, response: answer, edge, target, requestId }).begin();
}

/** The body, if any, is read and dropped by Node, so that the client sees the answer. */
function refuse(request: IncomingMessage, response: ServerResponse, error: SanctumError): void {
  request.resume();
  const requestId = requestIdOf(request);
  sendError(response, error, ['x-request-id', requestId, 'x-sanctum-request-id', requestId]);
}

function isControl(method: string | undefined, below: string): boolean {
  const query = below.indexOf('?');
  const path = query < 0 ? below : below.slice(0, query);
  if (CONTROL_PATHS.has(path)) return true;
  return (method === 'GET' || method === 'HEAD') && path.startsWith('/models/');
}

/** Whether a peer's address is of this machine: 127.0.0.0/8, ::1, or v4-mapped. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address;
  return plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}
