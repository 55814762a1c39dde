import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as x509 from '@peculiar/x509';
import { homePaths, type HomePaths } from '@sanctum/catalog';
import type { Identity } from '@sanctum/contracts';
import { initPki, issueCertificate, revokeCertificates } from '@sanctum/identity';

x509.cryptoProvider.set(webcrypto);

/** Client certificates that no listener may accept, beside having none at all. */
export const BAD_CERTIFICATES = [
  'expired',
  'not yet valid',
  'of another CA',
  'for servers',
  'without an identity',
  'of another instance',
  'signed by a leaf that poses as a CA',
  'signed with SHA-1',
  'revoked',
] as const;
export type BadCertificate = (typeof BAD_CERTIFICATES)[number];

export interface ClientPair {
  readonly cert: string;
  readonly key: string;
  /** `DEFAULT@SECLEVEL=0` where the client itself would refuse to load it. */
  readonly ciphers?: string;
}

export interface BadCertificateOptions {
  readonly home: HomePaths;
  readonly instance: string;
  readonly identity: Identity;
}

const DAY_MS = 86_400_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/**
 * A certificate for an identity of this home, bad in one way and good in all others, with its key.
 * The one that is revoked is revoked in the home.
 */
export async function badCertificate(
  fault: BadCertificate,
  options: BadCertificateOptions,
): Promise<ClientPair> {
  const { home, instance, identity } = options;
  const uri = `spiffe://sanctum.${instance}/svc/${identity}/g1`;
  const ca = () => issuerOf(home.ca);
  const now = Date.now();
  switch (fault) {
    case 'expired':
      return forge(await ca(), { uri, from: now - 3 * DAY_MS, until: now - 2 * DAY_MS });
    case 'not yet valid':
      return forge(await ca(), { uri, from: now + DAY_MS, until: now + 2 * DAY_MS });
    case 'of another CA':
      return ofAnotherAuthority(options);
    case 'for servers':
      return forge(await ca(), { uri, usage: x509.ExtendedKeyUsage.serverAuth });
    case 'without an identity':
      return forge(await ca(), { uri: undefined });
    case 'of another instance':
      return forge(await ca(), { uri: uri.replace(`sanctum.${instance}/`, 'sanctum.elsewhere/') });
    case 'signed by a leaf that poses as a CA': {
      const leaf = await issuerOf(home.client(identity));
      const forged = await forge(leaf, { uri });
      return { ...forged, cert: forged.cert + leaf.cert };
    }
    case 'signed with SHA-1':
      return {
        ...(await forge(await ca(), { uri, hash: 'SHA-1' })),
        ciphers: 'DEFAULT@SECLEVEL=0',
      };
    case 'revoked':
      return revoked(options);
  }
}

interface Issuer extends ClientPair {
  readonly signingKey: webcrypto.CryptoKey;
}

async function issuerOf(files: { cert: string; key: string }): Promise<Issuer> {
  const [cert, key] = await Promise.all([
    readFile(files.cert, 'utf8'),
    readFile(files.key, 'utf8'),
  ]);
  const der = x509.PemConverter.decodeFirst(key);
  const signingKey = await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign']);
  return { cert, key, signingKey };
}

interface Forgery {
  readonly uri: string | undefined;
  readonly from?: number;
  readonly until?: number;
  readonly usage?: x509.ExtendedKeyUsage;
  readonly hash?: 'SHA-1' | 'SHA-256';
}

async function forge(issuer: Issuer, forgery: Forgery): Promise<ClientPair> {
  const { uri, usage = x509.ExtendedKeyUsage.clientAuth, hash = 'SHA-256' } = forgery;
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const name: x509.JsonGeneralNames =
    uri === undefined ? [{ type: 'dns', value: 'nobody.test' }] : [{ type: 'url', value: uri }];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: `4a${Buffer.from(webcrypto.getRandomValues(new Uint8Array(15))).toString('hex')}`,
    subject: 'CN=forged',
    issuer: new x509.X509Certificate(issuer.cert).subjectName,
    notBefore: new Date(forgery.from ?? Date.now() - 60_000),
    notAfter: new Date(forgery.until ?? Date.now() + DAY_MS),
    publicKey: keys.publicKey,
    signingKey: issuer.signingKey,
    signingAlgorithm: { name: 'ECDSA', hash },
    extensions: [
      new x509.ExtendedKeyUsageExtension([usage]),
      new x509.SubjectAlternativeNameExtension(name),
    ],
  });
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const key = x509.PemConverter.encode(der, 'PRIVATE KEY');
  return { cert: `${certificate.toString('pem')}\n`, key: `${key}\n` };
}

async function ofAnotherAuthority({
  instance,
  identity,
}: BadCertificateOptions): Promise<ClientPair> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sanctum-stranger-'));
  const stranger = homePaths(folder);
  await initPki({ home: stranger, instance, identities: [identity] });
  const { cert, key } = await issuerOf(stranger.client(identity));
  await rm(folder, { recursive: true });
  return { cert, key };
}

/** Revoked by its serial number, and replaced in the home, so that the identity goes on. */
async function revoked({ home, instance, identity }: BadCertificateOptions): Promise<ClientPair> {
  const { cert, key } = await issuerOf(home.client(identity));
  await issueCertificate({ home, instance, kind: 'client', identity });
  await revokeCertificates({ home, target: new x509.X509Certificate(cert).serialNumber });
  return { cert, key };
}
