import { readFile } from 'node:fs/promises';
import type { HomePaths } from '@sanctum/catalog';
import { archivedIn } from './archive.js';
import { describeCertificate, type CertificateInfo } from './inspect.js';

/** Every listener binds loopback, so every server certificate covers it. */
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1'] as const;

/**
 * What the next server certificate is valid for: loopback, the names and addresses that are asked
 * for, and all that the last one is valid for, be it revoked.
 */
export async function serverNames(
  home: HomePaths,
  asked: readonly string[],
): Promise<readonly string[]> {
  const archived = (await archivedIn(home.certs)).filter((path) =>
    path.startsWith(home.server.cert),
  );
  const infos = await Promise.all([home.server.cert, ...archived].map(describeServer));
  const [last] = infos.flat().sort((a, b) => b.notBefore.getTime() - a.notBefore.getTime());
  const names = [...LOOPBACK_NAMES, ...asked, ...(last === undefined ? [] : namesOf(last))];
  const hosts = names.map(canonicalHost);
  return names.filter((_name, at) => hosts.indexOf(hosts[at] ?? '') === at);
}

/** Whether a server certificate is valid for loopback and for all of these. */
export function coversHosts(info: CertificateInfo, hosts: readonly string[]): boolean {
  const covered = new Set(namesOf(info).map(canonicalHost));
  return [...LOOPBACK_NAMES, ...hosts].every((host) => covered.has(canonicalHost(host)));
}

/** Empty for a file that is gone, or holds no server certificate. */
async function describeServer(path: string): Promise<readonly CertificateInfo[]> {
  try {
    const info = describeCertificate(await readFile(path, 'utf8'), path);
    return info.kind === 'server' ? [info] : [];
  } catch {
    return [];
  }
}

function namesOf({ dnsNames, addresses }: CertificateInfo): readonly string[] {
  return [...dnsNames, ...addresses];
}

/** One spelling per IPv6 address, as the URL standard writes it. */
function canonicalHost(host: string): string {
  const url = host.includes(':') ? `http://[${host}]` : `http://${host}`;
  return URL.canParse(url) ? new URL(url).hostname : host;
}
