import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { peerIdentity } from '@sanctum/identity';
import { admit, type AccessPolicy, type Admitted, type Visitor } from './access-rule.js';
import type { Calling } from './this-machine.js';

/** What a certificate says holds for all requests of its connection. */
const identities = new WeakMap<Socket, string | undefined>();

/** Judges a request before anything of it is read. Throws like {@link admit}. */
export function guard(request: IncomingMessage, policy: AccessPolicy, instance: string): Admitted {
  return admit(visitorOf(request, instance), policy);
}

function visitorOf(request: IncomingMessage, instance: string): Visitor {
  const { socket } = request;
  if (socket instanceof TLSSocket) {
    const onBehalfOf = request.headers['x-sanctum-client'];
    return {
      listener: 'mtls',
      identity: identityOf(socket, instance),
      ...(typeof onBehalfOf === 'string' && { onBehalfOf }),
    };
  }
  return {
    listener: 'plain',
    authorization: presentedKey(request),
    ...callingOf(request),
  };
}

export function callingOf({ headers, socket }: IncomingMessage): Calling {
  return { address: socket.remoteAddress, host: headers.host, origin: headers.origin };
}

/** As in `Authorization`; Anthropic's clients present their key in a header of its own. */
export function presentedKey({ headers }: IncomingMessage): string | undefined {
  const key = headers['x-api-key'];
  return headers.authorization ?? (typeof key === 'string' ? `Bearer ${key}` : undefined);
}

function identityOf(socket: TLSSocket, instance: string): string | undefined {
  if (!identities.has(socket)) {
    const peer = peerIdentity(socket);
    identities.set(socket, peer?.instance === instance ? peer.name : undefined);
  }
  return identities.get(socket);
}
