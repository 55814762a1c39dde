import { messageOf } from '@sanctum/errors';
import { LiveTls } from '@sanctum/identity';
import { listenersAt, type ListenerOptions } from '@sanctum/service-kit';
import type { Logger } from 'pino';
import type { EngineSettings } from './settings.js';

/** Reads the certificates, follows them from then on, and lists every listener. Throws `certificate_invalid`. */
export async function listenerOptions(
  settings: Pick<EngineSettings, 'plain' | 'tls'>,
  logger?: Pick<Logger, 'warn'>,
): Promise<ListenerOptions[]> {
  const { plain, tls } = settings;
  const listeners = plain === undefined ? [] : listenersAt('plain', plain);
  if (tls === undefined) return listeners;
  const live = await LiveTls.open({
    paths: tls.files,
    usage: 'server',
    onProblem: (error) => logger?.warn({ reason: messageOf(error) }, 'certificates_kept'),
  });
  return [...listeners, ...listenersAt('mtls', { ...tls, tls: live })];
}
