import {
  createPrivateKey,
  createPublicKey,
  randomBytes,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import { x509 } from './x509.js';
import { createHome, writeFileAtomic, type HomePaths, type KeyPairFiles } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { readPem } from './pem-file.js';
import { splitPem } from './pki-files.js';
import { assertName } from './service-identity.js';

export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
export const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;
const CA_YEARS = 5;
/** Clocks of clients may run behind by this much and still accept a fresh certificate. */
const BACKDATE_MS = 5 * 60_000;
export const DAY_MS = 86_400_000;

/** A CA that can sign. Its key never leaves the process that loaded it. */
export interface Authority {
  readonly certificate: x509.X509Certificate;
  /** Its own certificate. */
  readonly pem: string;
  /** The whole file: during a rollover the certificate of the other CA follows. */
  readonly trusted: string;
  readonly key: webcrypto.CryptoKey;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** From five minutes before `now`, for `days` days. */
export function validityFrom(now: Date, days: number): Validity {
  return {
    notBefore: new Date(now.getTime() - BACKDATE_MS),
    notAfter: new Date(now.getTime() + days * DAY_MS),
  };
}

/** A positive 128-bit serial number in hexadecimal. */
export function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** PKCS #8 PEM of a private key made extractable by {@link KEY_ALGORITHM} generation. */
export async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64');
  const lines = der.match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`;
}

/** Writes the key before the certificate: a certificate on disk always has its key. */
export function writePair(paths: KeyPairFiles, cert: string, key: string): void {
  writeFileAtomic(paths.key, key, 0o600);
  writeFileAtomic(paths.cert, cert, 0o644);
}

export interface NewAuthority {
  readonly instance: string;
  /** 1 for the first CA of an instance; a rollover counts up. */
  readonly generation: number;
  readonly paths: KeyPairFiles;
  readonly now: Date;
}

/** Makes a new self-signed CA (EC P-256, five years, path length 0) and writes it. */
export async function createAuthority(home: HomePaths, request: NewAuthority): Promise<Authority> {
  const { instance, generation, paths, now } = request;
  assertName('instance', instance);
  createHome(home.home);
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const suffix = generation === 1 ? '' : ` ${generation}`;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [`Sanctum CA ${instance}${suffix}`] }, { O: ['Sanctum'] }],
    ...validityFrom(now, CA_YEARS * 365),
    keys: keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pem = `${certificate.toString('pem')}\n`;
  writePair(paths, pem, await exportKey(keys.privateKey));
  return { certificate, pem, trusted: pem, key: keys.privateKey };
}

/**
 * Loads a CA for signing, the one that signs certificates by default. Throws `certificate_invalid`
 * naming the file.
 */
export async function loadAuthority(
  home: HomePaths,
  now: Date,
  paths: KeyPairFiles = home.ca,
): Promise<Authority> {
  const trusted = await readPem(paths.cert, 'CA certificate');
  const keyPem = await readPem(paths.key, 'CA private key');
  try {
    const pem = ownCertificate(trusted, keyPem);
    const certificate = new x509.X509Certificate(pem);
    const der = x509.PemConverter.decodeFirst(keyPem);
    const key = await webcrypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, true, ['sign']);
    assertPair(pem, keyPem, paths);
    assertAlive(certificate, now, paths.cert);
    return { certificate, pem, trusted, key };
  } catch (error) {
    if (error instanceof SanctumError) throw error;
    throw new SanctumError(
      'certificate_invalid',
      `The CA in ${paths.cert} and ${paths.key} is unusable: ${messageOf(error)}`,
      { cause: error, param: paths.cert },
    );
  }
}

/** Names a CA by its key: hexadecimal, as its leaves name it. */
export function subjectKeyId(certificate: x509.X509Certificate): string {
  return certificate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId.toLowerCase() ?? '';
}

/** The certificate of this key: of two, during a rollover, either may be the one that signs. */
function ownCertificate(trusted: string, keyPem: string): string {
  const blocks = splitPem(trusted, 'CERTIFICATE');
  const key = createPrivateKey(keyPem);
  return (
    blocks.find((pem) => new X509Certificate(pem).checkPrivateKey(key)) ?? blocks[0] ?? trusted
  );
}

function assertPair(certPem: string, keyPem: string, paths: KeyPairFiles): void {
  const ofKey = createPublicKey(keyPem).export({ type: 'spki', format: 'der' });
  const ofCert = new X509Certificate(certPem).publicKey.export({ type: 'spki', format: 'der' });
  if (ofKey.equals(ofCert)) return;
  throw new SanctumError(
    'certificate_invalid',
    `${paths.key} is not the key of ${paths.cert}. Restore the pair that belongs together.`,
    { param: paths.key },
  );
}

function assertAlive(certificate: x509.X509Certificate, now: Date, path: string): void {
  if (now < certificate.notAfter) return;
  throw new SanctumError(
    'certificate_invalid',
    `The CA certificate ${path} expired on ${certificate.notAfter.toISOString()}. ` +
      `Move the certs folder away and run "sanctumctl certs init".`,
    { param: path },
  );
}
