import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { peerIdentity, type Hit, type TransportCounts } from '@sanctum/identity';
import { isLoopback } from './access/access-rule.js';
import type { RequestHandler } from './listeners.js';

const UNAUTHORIZED = new Set([401, 403]);

const LOOPBACK: Hit = { transport: 'plain-loopback', identity: '' };

/** Counts each request that was let in, by how it came; what was turned away is not a use. */
export function countTransports(next: RequestHandler, counts: TransportCounts): RequestHandler {
  const known = new WeakMap<Socket, Hit | undefined>();
  const ofConnection = (socket: Socket): Hit | undefined => {
    const hit = known.get(socket);
    if (hit !== undefined || known.has(socket)) return hit;
    known.set(socket, connectionHit(socket));
    return known.get(socket);
  };
  return (request, response) => {
    const hit = ofConnection(request.socket) ?? beyondHit(request);
    response.on('close', () => {
      if (response.headersSent && !UNAUTHORIZED.has(response.statusCode)) counts.count(hit);
    });
    next(request, response);
  };
}

/** What the connection alone tells; undefined for a plain one from beyond this machine. */
function connectionHit(socket: Socket): Hit | undefined {
  if (socket instanceof TLSSocket) {
    return { transport: 'mtls', identity: peerIdentity(socket)?.name ?? 'unnamed' };
  }
  return isLoopback(socket.remoteAddress) ? LOOPBACK : undefined;
}

function beyondHit({ headers }: IncomingMessage): Hit {
  const transport = headers.authorization === undefined ? 'open' : 'bearer';
  return { transport, identity: '' };
}
