import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { x509 } from './x509.js';
import { errnoOf, type HomePaths } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { readPem } from './pem-file.js';
import { splitPem } from './pki-files.js';
import { parseIdentityUri, type ServiceIdentity } from './service-identity.js';

export type CertificateKind = 'ca' | 'server' | 'client' | 'other';

export interface CertificateInfo {
  readonly path: string;
  readonly kind: CertificateKind;
  readonly commonName: string;
  /** Of a client certificate. */
  readonly identity: ServiceIdentity | undefined;
  /** Hexadecimal, upper case. */
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly dnsNames: readonly string[];
  readonly addresses: readonly string[];
  /** SHA-256 of the DER, colon-separated hexadecimal. */
  readonly fingerprint: string;
  /** Hash of the signature, such as `SHA-256`. */
  readonly signatureHash: string;
  /** Key identifier of the CA that signed it, hexadecimal; empty when it names none. */
  readonly authorityKeyId: string;
}

/** What may be wrong with a certificate, each with a sentence in {@link CertificateVerdict}. */
export type CertificateFault =
  | 'unreadable'
  | 'not_yet_valid'
  | 'expired'
  | 'wrong_ca'
  | 'revoked'
  | 'wrong_usage'
  | 'wrong_name'
  | 'weak_hash'
  | 'key_unreadable'
  | 'key_mismatch';

export interface CertificateVerdict {
  readonly path: string;
  readonly info: CertificateInfo | undefined;
  /** Empty when the certificate may be used. */
  readonly faults: readonly { readonly fault: CertificateFault; readonly message: string }[];
}

export interface VerifyOptions {
  /** PEM text of the CA certificates that are trusted; one, but during a rollover. */
  readonly ca: string;
  /** PEM text of the certificate. */
  readonly cert: string;
  /** Serial numbers, hexadecimal, upper case. */
  readonly revoked?: ReadonlySet<string>;
  /** PEM text of its private key; checked against the certificate when given. */
  readonly key?: string;
  readonly usage: 'server' | 'client';
  /** Names the certificate in messages. */
  readonly path?: string;
  readonly now?: Date;
}

const STRONG_HASHES = new Set(['SHA-256', 'SHA-384', 'SHA-512']);

/** Reads the fields people and checks need. Throws `certificate_invalid` naming `path`. */
export function describeCertificate(pem: string, path: string): CertificateInfo {
  let native: X509Certificate;
  let parsed: x509.X509Certificate;
  try {
    native = new X509Certificate(pem);
    parsed = new x509.X509Certificate(pem);
  } catch (error) {
    throw new SanctumError(
      'certificate_invalid',
      `The certificate ${path} cannot be parsed: ${messageOf(error)}`,
      { cause: error, param: path },
    );
  }
  const names = parsed.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  const of = (type: string): string[] =>
    names.filter((name) => name.type === type).map((name) => name.value);
  return {
    path,
    kind: kindOf(native, parsed),
    commonName: parsed.subjectName.getField('CN')[0] ?? '',
    identity: soleIdentity(of('url')),
    serial: native.serialNumber,
    notBefore: parsed.notBefore,
    notAfter: parsed.notAfter,
    dnsNames: of('dns'),
    addresses: of('ip'),
    fingerprint: native.fingerprint256,
    signatureHash: hashName(parsed),
    authorityKeyId:
      parsed.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId?.toLowerCase() ?? '',
  };
}

/** A certificate with two URIs speaks for nobody: every verifier must come to one answer. */
export function soleIdentity(uris: readonly string[]): ServiceIdentity | undefined {
  const [uri] = uris;
  return uris.length === 1 && uri !== undefined ? parseIdentityUri(uri) : undefined;
}

/** Every certificate of a home: CAs, server, then clients by name. Missing ones are left out. */
export async function listCertificates(home: HomePaths): Promise<CertificateInfo[]> {
  const names = await entries(home.clients);
  const clients = names.filter((name) => name.endsWith('.crt')).sort();
  const present = new Set(await entries(home.certs));
  const own = [home.ca.cert, home.server.cert].filter((path) => present.has(basename(path)));
  const files = [...own, ...clients.map((name) => join(home.clients, name))];
  const infos = files.map(async (path) => {
    const text = await readPem(path, 'certificate');
    // The CA file holds two during a rollover.
    const blocks = path === home.ca.cert ? splitPem(text, 'CERTIFICATE') : [text];
    return blocks.map((pem) => describeCertificate(pem, path));
  });
  return (await Promise.all(infos)).flat();
}

/** Checks one certificate as a TLS peer would, and says everything that is wrong with it. */
export function verifyCertificate(options: VerifyOptions): CertificateVerdict {
  const { path = 'certificate', now = new Date() } = options;
  let info: CertificateInfo;
  let native: X509Certificate;
  let authorities: X509Certificate[];
  try {
    info = describeCertificate(options.cert, path);
    native = new X509Certificate(options.cert);
    authorities = authoritiesOf(options.ca);
  } catch (error) {
    return { path, info: undefined, faults: [{ fault: 'unreadable', message: messageOf(error) }] };
  }
  const faults = [
    ...timeFaults(info, now),
    ...chainFaults(native, authorities),
    ...(options.revoked?.has(info.serial) === true ? [REVOKED] : []),
    ...purposeFaults(info, options.usage),
    ...(options.key === undefined ? [] : keyFaults(native, options.key)),
  ];
  return {
    path,
    info,
    faults: faults.map(([fault, said]) => ({ fault, message: `${path} ${said}` })),
  };
}

type Finding = readonly [CertificateFault, string];

function timeFaults(info: CertificateInfo, now: Date): Finding[] {
  if (now < info.notBefore) {
    return [['not_yet_valid', `is valid from ${info.notBefore.toISOString()}.`]];
  }
  if (now < info.notAfter) return [];
  return [['expired', `expired on ${info.notAfter.toISOString()}.`]];
}

const REVOKED: Finding = ['revoked', 'was revoked.'];

/** Throws for a text without a certificate, as for one that cannot be parsed. */
function authoritiesOf(ca: string): X509Certificate[] {
  const blocks = splitPem(ca, 'CERTIFICATE');
  return blocks.length === 0
    ? [new X509Certificate(ca)]
    : blocks.map((pem) => new X509Certificate(pem));
}

/**
 * Whether one of these CAs signed the certificate.
 *
 * @param ca PEM text of one or more certificates
 */
export function isIssuedBy(ca: string, certificate: X509Certificate): boolean {
  return isSignedBy(certificate, authoritiesOf(ca));
}

function isSignedBy(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): boolean {
  return authorities.some(
    (authority) =>
      authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  );
}

function chainFaults(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): Finding[] {
  return isSignedBy(certificate, authorities) ? [] : [['wrong_ca', 'was not signed by this CA.']];
}

function purposeFaults(info: CertificateInfo, usage: VerifyOptions['usage']): Finding[] {
  const findings: Finding[] = [];
  if (info.kind !== usage) findings.push(['wrong_usage', `is not a ${usage} certificate.`]);
  if (usage === 'client' && info.identity === undefined) {
    findings.push(['wrong_name', 'carries no Sanctum identity URI.']);
  }
  if (!STRONG_HASHES.has(info.signatureHash)) {
    findings.push(['weak_hash', `is signed with ${info.signatureHash}.`]);
  }
  return findings;
}

function keyFaults(certificate: X509Certificate, pem: string): Finding[] {
  try {
    if (certificate.checkPrivateKey(createPrivateKey(pem))) return [];
    return [['key_mismatch', 'does not belong to its private key.']];
  } catch (error) {
    return [['key_unreadable', `has a private key that cannot be used: ${messageOf(error)}`]];
  }
}

async function entries(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw new SanctumError('io', `Cannot list ${dir}: ${messageOf(error)}`, {
      cause: error,
      param: dir,
    });
  }
}

function kindOf(certificate: X509Certificate, parsed: x509.X509Certificate): CertificateKind {
  if (certificate.ca) return 'ca';
  const usages = parsed.getExtension(x509.ExtendedKeyUsageExtension)?.usages ?? [];
  if (usages.includes(x509.ExtendedKeyUsage.serverAuth)) return 'server';
  return usages.includes(x509.ExtendedKeyUsage.clientAuth) ? 'client' : 'other';
}

function hashName(certificate: x509.X509Certificate): string {
  const { hash } = certificate.signatureAlgorithm as { hash?: { name: string } | string };
  return typeof hash === 'string' ? hash : (hash?.name ?? 'unknown');
}
