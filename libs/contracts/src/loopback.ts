/** 127.0.0.0/8 as the system writes it: no leading zeros, no parts left out. */
const LOOPBACK_V4 = /^127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;
const MAPPED = '::ffff:';

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
