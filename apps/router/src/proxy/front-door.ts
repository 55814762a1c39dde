import type { IncomingMessage, ServerResponse } from 'node:http';
import { SanctumError } from '@sanctum/errors';
import { guard, type Admitted } from '@sanctum/service-kit';
import { openEdge } from '../dialects/edge.js';
import { sendError } from './error-answer.js';
import { Exchange } from './exchange.js';
import type { ProxyContext } from './proxy-context.js';
import { requestIdOf } from './request-head.js';
import { isLookAlike, pathBelowV1, pathOf } from './request-path.js';

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Answered by the router itself, in Nest, whatever the method. */
const CONTROL_PATHS: ReadonlySet<string> = new Set(['/models', '/route', '/backends']);

/**
 * Takes requests straight from Node's HTTP server: what lies below `/v1/` and is not the router's
 * own goes to a backend without passing through Nest, the rest goes to `control`.
 */
export function openFrontDoor(context: ProxyContext, control: RequestHandler): RequestHandler {
  return (request, response) => {
    const caller = callerOf(context, request);
    if (caller instanceof SanctumError) {
      refuse(context, { request, response }, caller);
      return;
    }
    const target = request.url ?? '/';
    if (!target.startsWith('/v1/')) {
      context.refusals.watch(caller, request, response);
      control(request, response);
      return;
    }
    const below = pathBelowV1(target);
    if (below === undefined) {
      refuse(context, { caller, request, response }, UNSAFE_PATH);
      return;
    }
    const path = pathOf(below);
    if (isControl(request.method, path)) {
      context.refusals.watch(caller, request, response);
      control(request, response);
    } else if (isLookAlike(path)) {
      refuse(context, { caller, request, response }, LOOSE_PATH);
    } else {
      proxy(context, caller, { request, response, target: below });
    }
  };
}

const UNSAFE_PATH = new SanctumError(
  'invalid_request',
  'The path contains dot segments, empty segments, backslashes, or characters that are ' +
    'percent-encoded and need not be.',
);
const LOOSE_PATH = new SanctumError(
  'invalid_request',
  'Some servers would read this path as another one: write it in lower case, without a trailing ' +
    'slash, parameters or percent-encoding.',
);

interface Incoming {
  /** Undefined where nobody was recognised. */
  readonly caller?: Admitted;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Who asks, or why nobody answers. */
function callerOf(context: ProxyContext, request: IncomingMessage): Admitted | SanctumError {
  try {
    return guard(request, context.access, context.instance);
  } catch (error) {
    if (error instanceof SanctumError) return error;
    throw error;
  }
}

function proxy(
  context: ProxyContext,
  caller: Admitted,
  { request, response, target }: { target: string } & Incoming,
): void {
  const policy = context.callers.of(caller.identity);
  const refusal = context.admission.refusal() ?? policy?.refusal();
  if (refusal !== undefined) {
    refuse(context, { caller, request, response }, refusal);
    return;
  }
  const requestId = requestIdOf(request);
  const edge = openEdge({ request, response, target, requestId, limits: context.limits });
  const answer = edge?.response ?? response;
  const start = { request, response: answer, edge, target, requestId, caller, policy };
  new Exchange(context, start).begin();
}

/** The body, if any, is read and dropped by Node, so that the client sees the answer. */
function refuse(
  { limits, metrics, refusals }: ProxyContext,
  { caller, request, response }: Incoming,
  error: SanctumError,
): void {
  metrics.refusals.inc({ reason: error.code });
  request.resume();
  const requestId = requestIdOf(request);
  const target = pathBelowV1(request.url ?? '') ?? '';
  const edge = openEdge({ request, response, target, requestId, limits });
  const ids = ['x-request-id', requestId, 'x-sanctum-request-id', requestId];
  const status = sendError(edge?.response ?? response, error, ids);
  refusals.atDoor({ requestId, request, caller, target, status, code: error.code });
}

function isControl(method: string | undefined, path: string): boolean {
  if (CONTROL_PATHS.has(path)) return true;
  return (method === 'GET' || method === 'HEAD') && path.startsWith('/models/');
}
