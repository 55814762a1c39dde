import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { peerIdentity, type Hit, type TransportCounts } from '@sanctum/identity';
import { callingOf, presentedKey } from './access/guard.js';
import { isOwnCall } from './access/this-machine.js';
import type { RequestHandler } from './listeners.js';

const UNAUTHORIZED = new Set([401, 403]);

const LOOPBACK: Hit = { transport: 'plain-loopback', identity: '' };

/** Counts each request that was let in, by how it came; what was turned away is not a use. */
export function countTransports(next: RequestHandler, counts: TransportCounts): RequestHandler {
  const known = new WeakMap<TLSSocket, Hit>();
  const tlsHit = (socket: TLSSocket): Hit => {
    const hit = known.get(socket) ?? certificateHit(socket);
    known.set(socket, hit);
    return hit;
  };
  return (request, response) => {
    const { socket } = request;
    const hit = socket instanceof TLSSocket ? tlsHit(socket) : plainHit(request);
    response.on('close', () => {
      if (response.headersSent && !UNAUTHORIZED.has(response.statusCode)) counts.count(hit);
    });
    next(request, response);
  };
}

function certificateHit(socket: TLSSocket): Hit {
  return { transport: 'mtls', identity: peerIdentity(socket)?.name ?? 'unnamed' };
}

function plainHit(request: IncomingMessage): Hit {
  if (isOwnCall(callingOf(request))) return LOOPBACK;
  return { transport: presentedKey(request) === undefined ? 'open' : 'bearer', identity: '' };
}
