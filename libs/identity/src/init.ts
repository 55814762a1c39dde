import { access } from 'node:fs/promises';
import type { HomePaths, KeyPairFiles } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { createAuthority, loadAuthority } from './authority.js';
import { issueCertificate, LOOPBACK_NAMES, type IssueOptions } from './issue.js';
import { verifyCertificate, type CertificateInfo } from './inspect.js';
import { readPem } from './pem-file.js';

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
 * Makes what is missing: CA, server certificate, one client certificate per identity. What exists
 * stays, unless it is unusable, lacks an address, or has less than a third of its life left; the CA
 * is never replaced. Safe to call at every start. Throws `certificate_invalid` or `io`.
 */
export async function initPki(options: InitPkiOptions): Promise<InitPkiReport> {
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
    : await createAuthority(home, instance, now);
  (hasCa[0] ? kept : issued).push(home.ca.cert);

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
    const generation = await currentGeneration({ target, request, ca: authority.pem, now });
    if (generation === 'usable') {
      kept.push(target.cert);
      continue;
    }
    await issueCertificate(request.kind === 'client' ? { ...request, generation } : request);
    issued.push(target.cert);
  }
  return { issued, kept };
}

interface Candidate {
  readonly target: KeyPairFiles;
  readonly request: IssueOptions;
  readonly ca: string;
  readonly now: Date;
}

/** `usable`, or the generation that a replacement carries on. */
async function currentGeneration(candidate: Candidate): Promise<'usable' | number> {
  const { target, request, ca, now } = candidate;
  if (!(await exists(target.cert)) || !(await exists(target.key))) return 1;
  const cert = await readPem(target.cert, 'certificate');
  const key = await readPem(target.key, 'private key');
  const verdict = verifyCertificate({ ca, cert, key, usage: request.kind, path: target.cert, now });
  const { info } = verdict;
  const stays =
    info !== undefined &&
    verdict.faults.length === 0 &&
    !pastRenewal(info, now) &&
    namesMatch(info, request);
  return stays ? 'usable' : (info?.identity?.generation ?? 1);
}

function pastRenewal(info: CertificateInfo, now: Date): boolean {
  const lifeMs = info.notAfter.getTime() - info.notBefore.getTime();
  return now.getTime() - info.notBefore.getTime() > (lifeMs * 2) / 3;
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

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
