import { createPublicKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { x509 } from './x509.js';
import { createHome, writeFileAtomic, type HomePaths, type KeyPairFiles } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { readPem } from './pem-file.js';
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
  readonly pem: string;
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

/** Makes a new self-signed CA (EC P-256, five years, path length 0) and writes it. */
export async function createAuthority(
  home: HomePaths,
  instance: string,
  now: Date,
): Promise<Authority> {
  assertName('instance', instance);
  createHome(home.home);
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [`Sanctum CA ${instance}`] }, { O: ['Sanctum'] }],
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
  writePair(home.ca, pem, await exportKey(keys.privateKey));
  return { certificate, pem, key: keys.privateKey };
}

/** Loads the CA for signing. Throws `certificate_invalid` naming the file. */
export async function loadAuthority(home: HomePaths, now: Date): Promise<Authority> {
  const paths = home.ca;
  const pem = await readPem(paths.cert, 'CA certificate');
  const keyPem = await readPem(paths.key, 'CA private key');
  try {
    const certificate = new x509.X509Certificate(pem);
    const der = x509.PemConverter.decodeFirst(keyPem);
    const key = await webcrypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, true, ['sign']);
    assertPair(pem, keyPem, paths);
    assertAlive(certificate, now, paths.cert);
    return { certificate, pem, key };
  } catch (error) {
    if (error instanceof SanctumError) throw error;
    throw new SanctumError(
      'certificate_invalid',
      `The CA in ${paths.cert} and ${paths.key} is unusable: ${messageOf(error)}`,
      { cause: error, param: paths.cert },
    );
  }
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
