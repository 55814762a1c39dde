/** 127.0.0.0/8 as the system writes it: no leading zeros, no parts left out. */
const LOOPBACK_V4 = /^127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;
const MAPPED = '::ffff:';
const EVERY_ADDRESS = new Set(['0.0.0.0', '::']);

/** 127.0.0.0/8, ::1, and 127.0.0.0/8 mapped into IPv6. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  if (address === '127.0.0.1' || address === '::1') return true;
  const isMapped = address.toLowerCase().startsWith(MAPPED);
  return LOOPBACK_V4.test(isMapped ? address.slice(MAPPED.length) : address);
}

/** A host as settings name it, IPv6 without brackets: an address of loopback, or `localhost`. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || isLoopback(host);
}

/** Whether programs of this machine reach a listener at this host: loopback, or every address. */
export function isLocalHost(host: string): boolean {
  return isLoopbackHost(host) || EVERY_ADDRESS.has(host);
}

/** These hosts, and loopback: the operator on the machine itself is never locked out. */
export function withLoopback(hosts: readonly string[]): readonly string[] {
  return hosts.some(isLocalHost) ? hosts : ['127.0.0.1', ...hosts];
}

/** Where programs of this machine reach listeners at `withLoopback(hosts)`. */
export function loopbackOf(hosts: readonly string[]): string {
  return hosts.find(isLoopbackHost) ?? '127.0.0.1';
}
