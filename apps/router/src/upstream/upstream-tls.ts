import { access, readFile } from 'node:fs/promises';
import { isPublicHost, type HomePaths } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { clientTlsOptions, readTlsFiles, type TlsPaths } from '@sanctum/identity';

/** `tls` of a backend or of one of its URLs, as in instance.yaml. */
export interface ClientTlsSection {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly identity?: string;
}

/** What undici's `connect` takes, and whether a client certificate is presented. */
export interface UpstreamTls {
  readonly options: Readonly<Record<string, unknown>>;
  readonly clientCertificate: boolean;
  /** Set when a certificate that is expected by convention is not there. */
  readonly warning?: string;
}

/** The identity under which the router calls upstreams. */
export const ROUTER_IDENTITY = 'sanctum-server';

const SYSTEM_TRUST: UpstreamTls = { options: {}, clientCertificate: false };

/**
 * TLS towards one https URL. A certificate that is named must be usable, or `certificate_invalid`
 * is thrown; one found by convention (`certs/clients/sanctum-server.crt`, for hosts that are not
 * public) is used when present, and its absence is a warning. Public hosts get the system's roots.
 */
export async function resolveUpstreamTls(
  url: URL,
  section: ClientTlsSection | undefined,
  home: HomePaths,
): Promise<UpstreamTls> {
  if (url.protocol === 'http:') return SYSTEM_TRUST;
  if (section !== undefined && Object.keys(section).length > 0) return named(section, home, url);
  return isPublicHost(url.hostname) ? SYSTEM_TRUST : byConvention(home, url);
}

async function named(section: ClientTlsSection, home: HomePaths, url: URL): Promise<UpstreamTls> {
  const pair = section.identity === undefined ? section : home.client(section.identity);
  const ca = section.ca ?? home.ca.cert;
  const { cert, key } = pair;
  if (cert !== undefined && key !== undefined) return clientPair({ ca, cert, key });
  if (cert !== undefined || key !== undefined) {
    throw new SanctumError(
      'config_invalid',
      `tls of ${url.href} names ${cert === undefined ? 'a key without cert' : 'a cert without key'}; ` +
        'name both, or identity.',
      { param: 'tls' },
    );
  }
  return { options: { ca: await readNamed(ca) }, clientCertificate: false };
}

async function byConvention(home: HomePaths, url: URL): Promise<UpstreamTls> {
  const { cert, key } = home.client(ROUTER_IDENTITY);
  const ca = home.ca.cert;
  if ((await isPresent(cert)) && (await isPresent(ca))) return clientPair({ ca, cert, key });
  const warning =
    `${cert} is not there: ${url.href} is called without a client certificate. ` +
    'Issue one with `sanctumctl certs issue sanctum-server`.';
  return (await isPresent(ca))
    ? { options: { ca: await readNamed(ca) }, clientCertificate: false, warning }
    : { ...SYSTEM_TRUST, warning };
}

async function clientPair(paths: TlsPaths): Promise<UpstreamTls> {
  const material = await readTlsFiles(paths, 'client');
  return { options: { ...clientTlsOptions(material) }, clientCertificate: true };
}

async function readNamed(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new SanctumError(
      'certificate_invalid',
      `CA certificate ${path} cannot be read: ${messageOf(error)}.`,
      { cause: error, param: path },
    );
  }
}

async function isPresent(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
