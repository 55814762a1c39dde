import { isLocalHost } from '@sanctum/contracts';
import type { ListenerOptions } from './listeners.js';

/** One port at several hosts. */
export interface Places extends Pick<ListenerOptions, 'port' | 'tls'> {
  readonly hosts: readonly string[];
}

/**
 * A listener at each host; the first has the name alone. This machine's own way in must be bound; any
 * other address may be away, and is tried again.
 */
export function listenersAt(name: string, { hosts, ...rest }: Places): ListenerOptions[] {
  return [...new Set(hosts)].map((host, at) => ({
    name: at === 0 ? name : `${name} ${host}`,
    host,
    ...rest,
    optional: !isLocalHost(host),
  }));
}
