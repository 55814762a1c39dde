import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { isLoopback } from '@sanctum/contracts';

/** Where a request came from, and how: a program says what it likes of that, a browser does not. */
export interface Calling {
  readonly address: string | undefined;
  /** `Host`: the name that the caller looked up. */
  readonly host?: string | undefined;
  /** `Origin`: the web page that asked. */
  readonly origin?: string | undefined;
}

/** A host and perhaps a port: brackets around IPv6, a name or IPv4 otherwise. */
const AUTHORITY = /^(?:\[([\da-f:.]+)\]|([^:/?#@[\]\s]+))(?::\d{1,5})?$/i;
const LOOPBACK_NAME = /(?:^|\.)localhost$/;
/** No public name server has a say in these: RFC 6761, 6762 and 8375, and `.internal` of ICANN. */
const LOCAL_NAME = /(?:^|\.)(?:localhost|local|internal|home\.arpa)$/;
const WEB_PAGE = /^https?:\/\/(.*)$/i;
const OWN_NAME = hostname().toLowerCase();

/** Few names are ever used, and each request brings one. */
const judged = new Map<string, boolean>();
const JUDGED_MAX = 64;

/** From this machine, and not by a web page from elsewhere in a browser of this machine. */
export function isOwnCall(calling: Calling): boolean {
  return isLoopback(calling.address) && foreignSign(calling) === undefined;
}

/**
 * What shows that a web page from elsewhere had a browser of this machine ask; undefined when nothing
 * does. Such a page reaches loopback by a name of its own whose address becomes 127.0.0.1 (DNS
 * rebinding: `Host` tells), or blindly, by sending without reading (`Origin` tells).
 */
export function foreignSign({ host, origin }: Calling): string | undefined {
  if (host !== undefined && host !== '' && !isLocalHost(host)) return host;
  return origin !== undefined && isForeignPage(origin, host) ? origin : undefined;
}

function isLocalHost(host: string): boolean {
  const known = judged.get(host);
  if (known !== undefined) return known;
  if (judged.size >= JUDGED_MAX) judged.clear();
  const name = nameIn(host);
  // An address is looked up nowhere: nobody can make it mean another.
  const isLocal = isIP(name) !== 0 || LOCAL_NAME.test(name) || name === OWN_NAME;
  judged.set(host, isLocal);
  return isLocal;
}

/** `null` is how a page without an origin of its own signs; `app://` and the like are programs. */
function isForeignPage(origin: string, host: string | undefined): boolean {
  const authority = WEB_PAGE.exec(origin)?.[1];
  if (authority === undefined) return origin === 'null';
  const name = nameIn(authority);
  return authority !== host && !isLoopback(name) && !LOOPBACK_NAME.test(name);
}

/** Lower case, without port, brackets and the dot of the root; empty for what is none. */
function nameIn(authority: string): string {
  const [, v6, name] = AUTHORITY.exec(authority) ?? [];
  return (v6 ?? name ?? '').toLowerCase().replace(/\.$/, '');
}
