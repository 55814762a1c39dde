import { existsSync } from 'node:fs';
import { TLSSocket } from 'node:tls';
import type { HomePaths, RouterSection } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { LiveTls, peerIdentity } from '@sanctum/identity';
import {
  errorReply,
  sendError,
  type ListenerOptions,
  type RequestHandler,
} from '@sanctum/service-kit';
import type { RouterLog } from './log.js';

export interface MtlsListenerOptions {
  readonly section: RouterSection;
  readonly home: HomePaths;
  readonly log: RouterLog;
}

/**
 * The listeners of `services.router.tls`, one a host; none where it is not set. A certificate that
 * is named must be usable, or `certificate_invalid` is thrown; without the one found by convention
 * the listeners stay off, with a warning.
 */
export async function mtlsListeners(options: MtlsListenerOptions): Promise<ListenerOptions[]> {
  const { section, home, log } = options;
  if (section.tls === undefined) return [];
  const { hosts, port, ...named } = section.tls;
  const paths = { ca: home.ca.cert, ...home.server, ...named };
  const isNamed = named.cert !== undefined || named.key !== undefined || named.ca !== undefined;
  if (!isNamed && !existsSync(paths.cert)) {
    log.warn({ expected: paths.cert }, 'no server certificate: the mTLS listener is off');
    return [];
  }
  const tls = await LiveTls.open({
    paths,
    usage: 'server',
    onProblem: (error) => log.warn({ reason: messageOf(error) }, 'certificates_kept'),
  });
  return [...new Set(hosts)].map((host, at) => ({
    name: at === 0 ? 'mtls' : `mtls ${host}`,
    ...{ host, port, tls },
  }));
}

/**
 * Lets requests of the mTLS listener through whose certificate names an identity of this instance,
 * and all requests of others. The handshake has proven the certificate, not whose it is.
 */
export function requireIdentity(next: RequestHandler, instance: string): RequestHandler {
  const known = new WeakSet<TLSSocket>();
  return (request, response) => {
    const { socket } = request;
    if (socket instanceof TLSSocket && !known.has(socket)) {
      if (peerIdentity(socket)?.instance !== instance) {
        const message = 'The certificate names no identity of this instance.';
        sendError(response, errorReply(new SanctumError('forbidden', message), 'router'));
        return;
      }
      known.add(socket);
    }
    next(request, response);
  };
}
