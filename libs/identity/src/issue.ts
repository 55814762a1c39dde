import { isIP } from 'node:net';
import { webcrypto } from 'node:crypto';
import { x509 } from './x509.js';
import type { HomePaths } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import {
  exportKey,
  KEY_ALGORITHM,
  loadAuthority,
  newSerial,
  SIGNING_ALGORITHM,
  validityFrom,
  writePair,
  type Authority,
} from './authority.js';
import { describeCertificate, type CertificateInfo } from './inspect.js';
import { identityUri } from './service-identity.js';

export const LEAF_DAYS_DEFAULT = 30;
export const LEAF_DAYS_MAX = 825;
/** Every listener binds loopback, so every server certificate covers it. */
export const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '::1'] as const;

interface IssueBase {
  /** Holds the CA; the certificate is written where the home's layout puts it. */
  readonly home: HomePaths;
  readonly instance: string;
  /** Lifetime; 30 by default. */
  readonly days?: number;
  readonly now?: Date;
}

export interface IssueServerOptions extends IssueBase {
  readonly kind: 'server';
  /** Host names and addresses beside loopback. */
  readonly addresses?: readonly string[];
}

export interface IssueClientOptions extends IssueBase {
  readonly kind: 'client';
  readonly identity: string;
  /** 1 by default. */
  readonly generation?: number;
}

export type IssueOptions = IssueServerOptions | IssueClientOptions;

/**
 * Makes a key and a certificate signed by the CA of the home, and writes both:
 * `server.{crt,key}` with serverAuth and a SAN per address, or `clients/<identity>.{crt,key}` with
 * clientAuth and the identity's URI. EC P-256, SHA-256, valid from five minutes ago.
 * Throws `certificate_invalid`, `config_invalid` or `io`.
 */
export async function issueCertificate(options: IssueOptions): Promise<CertificateInfo> {
  const now = options.now ?? new Date();
  const subject = subjectOf(options);
  const validity = validityFrom(now, checkedDays(options.days));
  const authority = await loadAuthority(options.home, now);
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ CN: [subject.commonName] }, { O: ['Sanctum'] }],
    issuer: authority.certificate.subjectName,
    ...validity,
    publicKey: keys.publicKey,
    signingKey: authority.key,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: await extensionsOf(authority, subject, keys.publicKey),
  });
  const target =
    options.kind === 'server' ? options.home.server : options.home.client(options.identity);
  const pem = `${certificate.toString('pem')}\n`;
  writePair(target, pem, await exportKey(keys.privateKey));
  return describeCertificate(pem, target.cert);
}

interface Subject {
  readonly commonName: string;
  readonly names: x509.JsonGeneralNames;
  readonly usage: x509.ExtendedKeyUsage;
}

function subjectOf(options: IssueOptions): Subject {
  if (options.kind === 'client') {
    const { instance, identity: name, generation = 1 } = options;
    return {
      commonName: name,
      names: [{ type: 'url', value: identityUri({ instance, name, generation }) }],
      usage: x509.ExtendedKeyUsage.clientAuth,
    };
  }
  const hosts = [...new Set([...LOOPBACK_NAMES, ...(options.addresses ?? [])])];
  return {
    commonName: `sanctum ${options.instance}`,
    names: hosts.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
    usage: x509.ExtendedKeyUsage.serverAuth,
  };
}

async function extensionsOf(
  authority: Authority,
  subject: Subject,
  publicKey: webcrypto.CryptoKey,
): Promise<x509.Extension[]> {
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([subject.usage], false),
    new x509.SubjectAlternativeNameExtension(subject.names, false),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(authority.certificate.publicKey),
  ];
}

function checkedDays(days = LEAF_DAYS_DEFAULT): number {
  if (days > 0 && days <= LEAF_DAYS_MAX) return days;
  throw new SanctumError(
    'config_invalid',
    `A certificate cannot live ${days} days: choose more than 0 and at most ${LEAF_DAYS_MAX}.`,
    { param: 'days' },
  );
}
