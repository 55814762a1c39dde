import { constants, X509Certificate } from 'node:crypto';
import type { SecureVersion, TLSSocket } from 'node:tls';
import { SanctumError } from '@sanctum/errors';
import { soleIdentity, verifyCertificate } from './inspect.js';
import { readPem } from './pem-file.js';
import { readRevocationList } from './revocation-list.js';
import type { ServiceIdentity } from './service-identity.js';

/** Where a listener's or client's TLS files lie. */
export interface TlsPaths {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** The PEM texts of {@link TlsPaths}, checked, and the revocation list beside the CA. */
export interface TlsMaterial {
  /** Two certificates during a rollover. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly notAfter: Date;
  /** Serial number of the certificate, hexadecimal, upper case. */
  readonly serial: string;
  /** One list a CA; empty where there is no list. */
  readonly crl?: readonly string[];
  /** Serial numbers that the lists name, hexadecimal, upper case. */
  readonly revoked: ReadonlySet<string>;
}

/** What a TLS context is made of. */
export type TlsTexts = Pick<TlsMaterial, 'ca' | 'cert' | 'key' | 'crl'>;

interface TlsOptions {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly crl?: string[];
  readonly rejectUnauthorized: true;
  readonly minVersion: SecureVersion;
}

export interface ServerTlsOptions extends TlsOptions {
  readonly requestCert: true;
  readonly secureOptions: number;
}

export interface ClientTlsOptions extends TlsOptions {
  /** For `https.Agent` and undici: no session is remembered. */
  readonly maxCachedSessions: 0;
}

/** A peer whose certificate was verified by the handshake. */
export interface PeerIdentity extends ServiceIdentity {
  readonly serial: string;
  /** SHA-256 of the DER, colon-separated hexadecimal. */
  readonly fingerprint: string;
}

/**
 * Reads and checks a certificate with its key and CA. Throws `certificate_invalid` with one line
 * that names the file and the first fault: unreadable, expired, not yet valid, of another CA, for
 * another usage, revoked, not matching its key.
 */
export async function readTlsFiles(
  paths: TlsPaths,
  usage: 'server' | 'client',
  now = new Date(),
): Promise<TlsMaterial> {
  return readPair({ paths, usage, trust: await readTrust(paths), now });
}

export type Trust = Pick<TlsMaterial, 'ca' | 'crl' | 'revoked'>;

interface PairRequest {
  readonly paths: TlsPaths;
  readonly usage: 'server' | 'client';
  readonly trust: Trust;
  readonly now?: Date;
}

/** What `readTlsFiles` does, with a trust that was read before. */
export async function readPair(request: PairRequest): Promise<TlsMaterial> {
  const { paths, usage, trust, now = new Date() } = request;
  const { ca, revoked } = trust;
  const cert = await readPem(paths.cert, 'certificate');
  const key = await readPem(paths.key, 'private key');
  const { faults, info } = verifyCertificate({
    ...{ ca, cert, key, revoked, usage, now },
    path: paths.cert,
  });
  const [first] = faults;
  if (first !== undefined || info === undefined) {
    const name = first?.fault.startsWith('key_') === true ? paths.key : paths.cert;
    throw new SanctumError(
      'certificate_invalid',
      `${first?.message ?? `${paths.cert} is unusable.`} (key ${paths.key}, CA ${paths.ca})`,
      { param: name },
    );
  }
  return { ...trust, cert, key, notAfter: info.notAfter, serial: info.serial };
}

/**
 * What a holder trusts, whatever its own certificate is like. Throws `certificate_invalid`.
 *
 * @param known lists that go on where their file is gone
 */
export async function readTrust(
  paths: Pick<TlsPaths, 'ca'>,
  known?: readonly string[],
): Promise<Trust> {
  const ca = await readPem(paths.ca, 'CA certificate');
  const { pems: crl, serials: revoked } = await readRevocationList(paths.ca, ca, known);
  return { ca, crl, revoked };
}

/**
 * For `https.createServer` and NATS-like listeners: a client certificate of this CA is demanded.
 * Without tickets and without a session store no session can be resumed, so a revoked certificate
 * cannot ride on an old handshake.
 */
export function serverTlsOptions(material: TlsTexts): ServerTlsOptions {
  return {
    ...pick(material),
    requestCert: true,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/** For `tls.connect`, `https.Agent` and undici's `connect`: the server must be of this CA. */
export function clientTlsOptions(material: TlsTexts): ClientTlsOptions {
  return { ...pick(material), maxCachedSessions: 0 };
}

function pick({ ca, cert, key, crl = [] }: TlsTexts): TlsOptions {
  const lists = crl.length === 0 ? {} : { crl: [...crl] };
  return { ca, cert, key, ...lists, rejectUnauthorized: true, minVersion: 'TLSv1.2' };
}

/**
 * Who the other end is: the identity in the sole URI SAN of its verified certificate. Undefined for
 * an unverified peer and for a certificate that names no Sanctum identity; refuse both.
 */
export function peerIdentity(socket: TLSSocket): PeerIdentity | undefined {
  if (!socket.authorized) return undefined;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const identity = soleIdentity(uriNames(certificate));
  if (identity === undefined) return undefined;
  return { ...identity, serial: certificate.serialNumber, fingerprint: certificate.fingerprint256 };
}

/** Node quotes names with commas in them, so no crafted name can add an entry. */
function uriNames(certificate: X509Certificate): string[] {
  const names = certificate.subjectAltName?.split(', ') ?? [];
  return names.filter((name) => name.startsWith('URI:')).map((name) => name.slice(4));
}
