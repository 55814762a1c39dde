import { isIP } from 'node:net';
import { webcrypto } from 'node:crypto';
import { x509 } from './x509.js';
import type { HomePaths, KeyPairFiles } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import {
  exportKey,
  KEY_ALGORITHM,
  loadAuthority,
  newSerial,
  SIGNING_ALGORITHM,
  subjectKeyId,
  validityFrom,
  writePair,
  type Authority,
} from './authority.js';
import { describeCertificate, type CertificateInfo } from './inspect.js';
import {
  entryOf,
  nextGeneration,
  readLedger,
  withIssued,
  writeLedger,
  type Ledger,
} from './ledger.js';
import { withPkiLock } from './pki-lock.js';
import { serverNames } from './server-names.js';
import { identityUri } from './service-identity.js';

export const LEAF_DAYS_DEFAULT = 30;
export const LEAF_DAYS_MAX = 825;

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
  /** Host names and addresses beside loopback and those of the last server certificate. */
  readonly addresses?: readonly string[];
}

export interface IssueClientOptions extends IssueBase {
  readonly kind: 'client';
  readonly identity: string;
  /** The one after the identity's last by default. */
  readonly generation?: number;
}

export type IssueOptions = IssueServerOptions | IssueClientOptions;

/**
 * Called when new certificates are recorded and before those of clients are written: NATS has to
 * know a generation before somebody logs in with it.
 */
export type Announce = () => Promise<void>;

/**
 * Makes a key and a certificate signed by the CA of the home, and writes both:
 * `server.{crt,key}` with serverAuth and a SAN per name or address, or `clients/<identity>.{crt,key}` with
 * clientAuth and the identity's URI. EC P-256, SHA-256, valid from five minutes ago. The ledger
 * knows of it. Throws `certificate_invalid`, `config_invalid` or `io`.
 */
export async function issueCertificate(
  options: IssueOptions,
  announce?: Announce,
): Promise<CertificateInfo> {
  checkedDays(options.days);
  return withPkiLock(options.home, async () => {
    const minted = await mintLeaf(options);
    await writeMinted([minted], announce);
    return minted.info;
  });
}

/** A certificate that was signed and recorded, and waits to be written beside its key. */
export interface MintedLeaf {
  readonly info: CertificateInfo;
  readonly target: KeyPairFiles;
  readonly cert: string;
  readonly key: string;
}

/** The server's goes first: NATS reads it when it is told of the others. */
export async function writeMinted(
  leaves: readonly MintedLeaf[],
  announce?: Announce,
): Promise<void> {
  const isServer = ({ info }: MintedLeaf): boolean => info.kind === 'server';
  const write = ({ target, cert, key }: MintedLeaf): void => writePair(target, cert, key);
  leaves.filter(isServer).forEach(write);
  await announce?.();
  leaves.filter((leaf) => !isServer(leaf)).forEach(write);
}

/** Signs and records, under the lock of the PKI; the files are the caller's to write. */
export async function mintLeaf(options: IssueOptions): Promise<MintedLeaf> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const { info, cert } = await signLeaf(options, keys.publicKey);
  return { info, target: targetOf(options), cert, key: await exportKey(keys.privateKey) };
}

/** Signs a certificate for a key that is held elsewhere, and records it, under the lock. */
export async function signLeaf(
  options: IssueOptions,
  publicKey: webcrypto.CryptoKey,
): Promise<{ readonly info: CertificateInfo; readonly cert: string }> {
  const { home, now = new Date() } = options;
  const ledger = await readLedger(home);
  const subject = await subjectOf(options, ledger);
  const validity = validityFrom(now, checkedDays(options.days));
  const authority = await loadAuthority(home, now);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ CN: [subject.commonName] }, { O: ['Sanctum'] }],
    issuer: authority.certificate.subjectName,
    ...validity,
    publicKey,
    signingKey: authority.key,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: await extensionsOf(authority, subject, publicKey),
  });
  const cert = `${certificate.toString('pem')}\n`;
  const info = describeCertificate(cert, targetOf(options).cert);
  // Recorded before anybody holds it: what is not in the ledger could not be revoked.
  const entry = entryOf(info, subjectKeyId(authority.certificate));
  writeLedger(home, withIssued(ledger, entry), now);
  return { info, cert };
}

function targetOf(options: IssueOptions): KeyPairFiles {
  return options.kind === 'server' ? options.home.server : options.home.client(options.identity);
}

interface Subject {
  readonly commonName: string;
  readonly names: x509.JsonGeneralNames;
  readonly usage: x509.ExtendedKeyUsage;
}

async function subjectOf(options: IssueOptions, ledger: Ledger): Promise<Subject> {
  if (options.kind === 'client') {
    const { instance, identity: name } = options;
    const { generation = nextGeneration(ledger, name) } = options;
    return {
      commonName: name,
      names: [{ type: 'url', value: identityUri({ instance, name, generation }) }],
      usage: x509.ExtendedKeyUsage.clientAuth,
    };
  }
  const hosts = await serverNames(options.home, options.addresses ?? []);
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
