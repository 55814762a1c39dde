import type { HomePaths, KeyPairFiles } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { exists } from './archive.js';
import { createAuthority, loadAuthority } from './authority.js';
import { verifyCertificate, type CertificateInfo } from './inspect.js';
import { LOOPBACK_NAMES, mintLeaf, writeMinted, type IssueOptions } from './issue.js';
import { readLedger } from './ledger.js';
import { readPem } from './pem-file.js';
import { crlPathOf } from './pki-files.js';
import { withPkiLock } from './pki-lock.js';
import { renewalDueAt } from './renewal.js';
import { readRevocationList, writeRevocationList } from './revocation-list.js';
import { trustedAuthorities } from './rollover.js';

export interface InitPkiOptions {
  readonly home: HomePaths;
  readonly instance: string;
  /** Host names and addresses of listeners beside loopback. */
  readonly addresses?: readonly string[];
  /** Who gets a client certificate. */
  readonly identities: readonly string[];
  readonly leafDays?: number;
  readonly now?: Date;
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
  const hasCa = await Promise.all([exists(home.ca.cert), exists(home.ca.key)]);
  if (hasCa[0] !== hasCa[1]) {
    const [present, lost] = hasCa[0] ? [home.ca.cert, home.ca.key] : [home.ca.key, home.ca.cert];
    throw new SanctumError(
      'certificate_invalid',
      `${present} exists but ${lost} is gone. Restore it, or move ${home.certs} away to start anew.`,
      { param: lost },
    );
  }
  const authority = hasCa[0]
    ? await loadAuthority(home, now)
    : await createAuthority(home, { instance, generation: 1, paths: home.ca, now });
  (hasCa[0] ? kept : issued).push(home.ca.cert);
  if (!(await exists(crlPathOf(home.ca.cert)))) {
    const authorities = await trustedAuthorities(home, now);
    const { issued: entries } = await readLedger(home);
    await writeRevocationList(home, { authorities, issued: entries, now });
  }
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
  for (const [target, request] of wanted) {
    if (await isUsable({ target, request, ca: authority.trusted, revoked: serials, now })) {
      kept.push(target.cert);
      continue;
    }
    writeMinted(await mintLeaf(request));
    issued.push(target.cert);
  }
  return { issued, kept };
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
  const covered = new Set([...info.dnsNames, ...info.addresses].map(canonicalHost));
  return [...LOOPBACK_NAMES, ...(request.addresses ?? [])].every((host) =>
    covered.has(canonicalHost(host)),
  );
}

/** One spelling per IPv6 address, as the URL standard writes it. */
function canonicalHost(host: string): string {
  const url = host.includes(':') ? `http://[${host}]` : `http://${host}`;
  return URL.canParse(url) ? new URL(url).hostname : host;
}
