import type { HomePaths, KeyPairFiles } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { exists } from './archive.js';
import { createAuthority, loadAuthority } from './authority.js';
import { listCertificates, verifyCertificate, type CertificateInfo } from './inspect.js';
import {
  mintLeaf,
  writeMinted,
  type Announce,
  type IssueOptions,
  type MintedLeaf,
} from './issue.js';
import { readPem } from './pem-file.js';
import { crlPathOf, pkiFiles } from './pki-files.js';
import { withPkiLock } from './pki-lock.js';
import { renewalDueAt } from './renewal.js';
import { readRevocationList } from './revocation-list.js';
import { restoreRevocationList } from './rollover.js';
import { coversHosts } from './server-names.js';

export interface InitPkiOptions {
  readonly home: HomePaths;
  readonly instance: string;
  /** Host names and addresses of listeners beside loopback. */
  readonly addresses?: readonly string[];
  /** Who gets a client certificate. */
  readonly identities: readonly string[];
  readonly leafDays?: number;
  readonly now?: Date;
  readonly announce?: Announce;
}

export interface InitPkiReport {
  /** Certificates made by this call, by path. */
  readonly issued: readonly string[];
  /** Certificates that were there and stay, by path. */
  readonly kept: readonly string[];
}

/**
 * Makes what is missing: CA, revocation list, server certificate, one client certificate per
 * identity. What exists stays, unless it is unusable, revoked, lacks an address, or is due for
 * renewal; the CA is never replaced. Safe to call at every start. Throws `certificate_invalid` or
 * `io`.
 */
export async function initPki(options: InitPkiOptions): Promise<InitPkiReport> {
  return withPkiLock(options.home, () => initUnderLock(options));
}

async function initUnderLock(options: InitPkiOptions): Promise<InitPkiReport> {
  const { home, instance, now = new Date() } = options;
  const issued: string[] = [];
  const kept: string[] = [];
  const hasCa = await hasAuthority(home);
  const authority = hasCa
    ? await loadAuthority(home, now)
    : await createAuthority(home, { instance, generation: 1, paths: home.ca, now });
  (hasCa ? kept : issued).push(home.ca.cert);
  await restoreRevocationList(home, now);
  const { serials } = await readRevocationList(home.ca.cert, authority.trusted);

  const lifetime = options.leafDays === undefined ? {} : { days: options.leafDays };
  const base = { home, instance, now, ...lifetime };
  const wanted: [KeyPairFiles, IssueOptions][] = [
    [home.server, { ...base, kind: 'server', addresses: options.addresses ?? [] }],
    ...options.identities.map((identity): [KeyPairFiles, IssueOptions] => [
      home.client(identity),
      { ...base, kind: 'client', identity },
    ]),
  ];
  const minted: MintedLeaf[] = [];
  for (const [target, request] of wanted) {
    if (await isUsable({ target, request, ca: authority.trusted, revoked: serials, now })) {
      kept.push(target.cert);
      continue;
    }
    minted.push(await mintLeaf(request));
    issued.push(target.cert);
  }
  if (minted.length > 0) await writeMinted(minted, options.announce);
  return { issued, kept };
}

/** Throws where one of the two files of a CA that was in use is gone. */
async function hasAuthority(home: HomePaths): Promise<boolean> {
  const { cert, key } = home.ca;
  const [hasCert, hasKey] = [await exists(cert), await exists(key)];
  if (hasCert === hasKey) return hasCert;
  if (hasKey && !(await hasSigned(home))) return false;
  const [present, lost] = hasCert ? [cert, key] : [key, cert];
  throw new SanctumError(
    'certificate_invalid',
    `${present} exists but ${lost} is gone. Restore it, or move ${home.certs} away to start anew.`,
    { param: lost },
  );
}

/** A key without its certificate that signed nothing is what a kill left when the CA was made. */
async function hasSigned(home: HomePaths): Promise<boolean> {
  const files = [crlPathOf(home.ca.cert), pkiFiles(home).ledger];
  const found = await Promise.all(files.map(exists));
  return found.includes(true) || (await listCertificates(home)).length > 0;
}

interface Candidate {
  readonly target: KeyPairFiles;
  readonly request: IssueOptions;
  readonly ca: string;
  readonly revoked: ReadonlySet<string>;
  readonly now: Date;
}

async function isUsable({ target, request, ca, revoked, now }: Candidate): Promise<boolean> {
  if (!(await exists(target.cert)) || !(await exists(target.key))) return false;
  const cert = await readPem(target.cert, 'certificate');
  const key = await readPem(target.key, 'private key');
  const { info, faults } = verifyCertificate({
    ...{ ca, cert, key, revoked, now },
    usage: request.kind,
    path: target.cert,
  });
  if (info === undefined || faults.length > 0) return false;
  return now < renewalDueAt(info) && namesMatch(info, request);
}

function namesMatch(info: CertificateInfo, request: IssueOptions): boolean {
  if (request.kind === 'client') {
    return info.identity?.instance === request.instance && info.identity.name === request.identity;
  }
  return coversHosts(info, request.addresses ?? []);
}
