import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { peerIdentity } from '@sanctum/identity';
import { admit, type AccessPolicy, type Admitted, type Visitor } from './access-rule.js';

const admitted = new WeakMap<IncomingMessage, Admitted>();

/** Judges a request before anything of it is read. Throws like {@link admit}. */
export function guard(request: IncomingMessage, policy: AccessPolicy, instance: string): void {
  admitted.set(request, admit(visitorOf(request, instance), policy));
}

/** What {@link guard} found out about a request that it let in. */
export function admittedOf(request: IncomingMessage): Admitted {
  const known = admitted.get(request);
  if (known === undefined) throw new Error('a request came past the guard');
  return known;
}

function visitorOf(request: IncomingMessage, instance: string): Visitor {
  const { socket } = request;
  if (socket instanceof TLSSocket) {
    const peer = peerIdentity(socket);
    const onBehalfOf = request.headers['x-sanctum-client'];
    return {
      listener: 'mtls',
      identity: peer?.instance === instance ? peer.name : undefined,
      ...(typeof onBehalfOf === 'string' && { onBehalfOf }),
    };
  }
  return {
    listener: 'plain',
    address: socket.remoteAddress,
    authorization: request.headers.authorization,
  };
}
