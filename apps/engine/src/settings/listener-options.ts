import { messageOf } from '@sanctum/errors';
import { LiveTls } from '@sanctum/identity';
import type { ListenerOptions } from '@sanctum/service-kit';
import type { Logger } from 'pino';
import { isLocalHost } from './local-hosts.js';
import type { EngineSettings, ListenerSettings } from './settings.js';

/** Reads the certificates, follows them from then on, and lists every listener. Throws `certificate_invalid`. */
export async function listenerOptions(
  settings: Pick<EngineSettings, 'plain' | 'tls'>,
  logger?: Pick<Logger, 'warn'>,
): Promise<ListenerOptions[]> {
  const { plain, tls } = settings;
  const listeners = plain === undefined ? [] : spread('plain', plain);
  if (tls === undefined) return listeners;
  const live = await LiveTls.open({
    paths: tls.files,
    usage: 'server',
    onProblem: (error) => logger?.warn({ reason: messageOf(error) }, 'certificates_kept'),
  });
  return [...listeners, ...spread('mtls', tls).map((entry) => ({ ...entry, tls: live }))];
}

function spread(name: string, { hosts, port }: ListenerSettings): ListenerOptions[] {
  return [...new Set(hosts)].map((host, index) => ({
    name: index === 0 ? name : `${name} ${host}`,
    host,
    port,
    // This machine's own way in must be bound; any other address may be away and is tried again.
    optional: !isLocalHost(host),
  }));
}
