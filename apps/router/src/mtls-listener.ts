import { existsSync } from 'node:fs';
import type { HomePaths, RouterSection } from '@sanctum/catalog';
import { messageOf } from '@sanctum/errors';
import { LiveTls } from '@sanctum/identity';
import { listenersAt, type ListenerOptions } from '@sanctum/service-kit';
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
  return listenersAt('mtls', { hosts, port, tls });
}
