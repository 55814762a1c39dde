import { messageOf } from '@sanctum/errors';
import { LiveTls } from '@sanctum/identity';
import type { ListenerOptions } from '@sanctum/service-kit';
import type { Logger } from 'pino';
import type { EngineSettings, ListenerSettings } from './settings.js';

/** What must be bound; any other address may be away for now and is tried again. */
const REQUIRED_HOSTS = new Set(['127.0.0.1', 'localhost', '0.0.0.0', '::']);

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
    optional: !REQUIRED_HOSTS.has(host),
  }));
}
