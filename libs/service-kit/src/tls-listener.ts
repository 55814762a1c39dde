import type { X509Certificate } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { isIssuedBy, serverTlsOptions, type LiveTls, type TlsMaterial } from '@sanctum/identity';
import type { Logger } from 'pino';

/**
 * An HTTPS server that takes over certificates, CAs and revocation lists while it runs: new
 * connections meet the new ones, open connections go on, and those of a peer whose certificate was
 * revoked, or whose CA is trusted no more, are cut at once.
 */
export function createLiveTlsServer(
  live: LiveTls,
  options: ServerOptions,
  parts: { readonly handler: RequestListener; readonly logger: Logger },
): Server {
  const { handler, logger } = parts;
  const server = createServer({ ...options, ...serverTlsOptions(live.material) }, handler);
  const peers = new Map<TLSSocket, X509Certificate>();
  server.on('secureConnection', (socket) => {
    const peer = socket.getPeerX509Certificate();
    // The handshake may have begun before the list was read.
    if (peer === undefined || live.material.revoked.has(peer.serialNumber)) {
      socket.destroy();
      return;
    }
    peers.set(socket, peer);
    socket.once('close', () => peers.delete(socket));
  });
  const stop = live.onChange((material) => {
    server.setSecureContext(serverTlsOptions(material));
    const cut = [...peers].filter(([, peer]) => isRefused(peer, material));
    for (const [socket] of cut) socket.destroy();
    logger.info(
      { serial: material.serial, until: material.notAfter, revoked: material.revoked.size },
      'certificates_taken_over',
    );
    if (cut.length > 0) logger.warn({ connections: cut.length }, 'revoked_connections_cut');
  });
  server.once('close', stop);
  return server;
}

function isRefused(peer: X509Certificate, { ca, revoked }: TlsMaterial): boolean {
  return revoked.has(peer.serialNumber) || !isIssuedBy(ca, peer);
}
