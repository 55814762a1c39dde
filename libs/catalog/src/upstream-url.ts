import { BlockList, isIP } from 'node:net';
import { z } from 'zod';

/** `https://host:port/v1`: http or https, with the API version in its path, without credentials. */
export const upstreamUrl = z.string().superRefine((text, context) => {
  const problem = urlProblem(text);
  if (problem !== undefined) {
    context.addIssue({ code: 'custom', message: problem });
  }
});

function urlProblem(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    return 'an http or https URL such as https://127.0.0.1:1338/v1';
  }
  if (url.username !== '' || url.password !== '') {
    return 'a URL without credentials: name the variable that holds the key in api_key_env';
  }
  if (url.search !== '' || url.hash !== '') {
    return 'a URL without query and fragment';
  }
  if (!/\/v\d/.test(url.pathname)) {
    return 'a URL whose path includes the API version, such as /v1';
  }
  return undefined;
}

/** Loopback, RFC 1918, link-local, carrier-grade NAT (tailnets) and their IPv6 counterparts. */
const PRIVATE = new BlockList();
for (const [network, prefix] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
] as const) {
  PRIVATE.addSubnet(network, prefix, 'ipv4');
}
PRIVATE.addAddress('::1', 'ipv6');
PRIVATE.addSubnet('fc00::', 7, 'ipv6');
PRIVATE.addSubnet('fe80::', 10, 'ipv6');

const PRIVATE_NAME = /\.(local|lan|internal|localhost|ts\.net|home\.arpa)$/;

/** Whether a host name or address may be reached beyond this machine, LAN and tailnet. */
export function isPublicHost(hostname: string): boolean {
  const name = hostname.toLowerCase().replace(/^\[|\]$/g, '');
  switch (isIP(name)) {
    case 4:
      return !PRIVATE.check(name, 'ipv4');
    case 6:
      return !PRIVATE.check(name, 'ipv6');
    default:
      return name.includes('.') && !PRIVATE_NAME.test(name);
  }
}
