import type { X509Certificate } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { isIssuedBy, serverTlsOptions, type LiveTls, type TlsMaterial } from '@sanctum/identity';
import type { Logger } from 'pino';

/** An expired peer is noticed within this time. */
const EXPIRY_SWEEP_MS = 1000;
/** What a request that is under way when its caller's certificate expires has left to end. */
export const EXPIRED_GRACE_MS = 3000;

export interface LiveTlsServerParts {
  readonly handler: RequestListener;
  readonly logger: Logger;
  /** Whether a request is under way on a connection. */
  readonly isBusy: (socket: TLSSocket) => boolean;
}

interface Peer {
  readonly certificate: X509Certificate;
  readonly notAfterMs: number;
}

/**
 * An HTTPS server that takes over certificates, CAs and revocation lists while it runs: new
 * connections meet the new ones, open connections go on, and those of a peer whose certificate was
 * revoked, or whose CA is trusted no more, are cut at once. A connection ends with the certificate
 * that opened it: at once when it is idle, {@link EXPIRED_GRACE_MS} later when it is not.
 */
export function createLiveTlsServer(
  live: LiveTls,
  options: ServerOptions,
  parts: LiveTlsServerParts,
): Server {
  const { handler, logger, isBusy } = parts;
  const server = createServer({ ...options, ...serverTlsOptions(live.material) }, handler);
  const peers = new Map<TLSSocket, Peer>();
  server.on('secureConnection', (socket) => {
    const certificate = socket.getPeerX509Certificate();
    // The handshake may have begun before the list was read.
    if (certificate === undefined || live.material.revoked.has(certificate.serialNumber)) {
      socket.destroy();
      return;
    }
    peers.set(socket, { certificate, notAfterMs: Date.parse(certificate.validTo) });
    socket.once('close', () => peers.delete(socket));
  });
  const cut = (condemned: readonly [TLSSocket, Peer][], what: string): void => {
    for (const [socket] of condemned) socket.destroy();
    if (condemned.length > 0) logger.warn({ connections: condemned.length }, what);
  };
  const stop = live.onChange((material) => {
    server.setSecureContext(serverTlsOptions(material));
    logger.info(
      { serial: material.serial, until: material.notAfter, revoked: material.revoked.size },
      'certificates_taken_over',
    );
    const refused = [...peers].filter(([, peer]) => isRefused(peer.certificate, material));
    cut(refused, 'revoked_connections_cut');
  });
  // The clock is asked each time: a timer set for the end would not know of a clock that is put right.
  const sweep = setInterval(() => {
    const nowMs = Date.now();
    const expired = [...peers].filter(
      ([socket, { notAfterMs }]) => nowMs >= notAfterMs + (isBusy(socket) ? EXPIRED_GRACE_MS : 0),
    );
    cut(expired, 'expired_connections_cut');
  }, EXPIRY_SWEEP_MS);
  sweep.unref();
  server.once('close', () => {
    stop();
    clearInterval(sweep);
  });
  return server;
}

function isRefused(peer: X509Certificate, { ca, revoked }: TlsMaterial): boolean {
  return revoked.has(peer.serialNumber) || !isIssuedBy(ca, peer);
}
