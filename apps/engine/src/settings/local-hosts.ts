import { isLoopbackHost } from '@sanctum/contracts';

const EVERY_ADDRESS = new Set(['0.0.0.0', '::']);

/** Whether programs of this machine reach a listener at this host: loopback, or every address. */
export function isLocalHost(host: string): boolean {
  return isLoopbackHost(host) || EVERY_ADDRESS.has(host);
}
