import type { HomePaths, KeyPairFiles } from '@sanctum/catalog';
import { messageOf } from '@sanctum/errors';
import { exists } from './archive.js';
import {
  ANSWER_TIMEOUT_MS,
  askHolders,
  handOver,
  type Asked,
  type Delivery,
} from './ask-holders.js';
import { loadAuthority } from './authority.js';
import { checkRequest } from './certificate-request.js';
import { verifyCertificate } from './inspect.js';
import {
  mintLeaf,
  signLeaf,
  writeMinted,
  type Announce,
  type IssueOptions,
  type MintedLeaf,
} from './issue.js';
import { readPem } from './pem-file.js';
import { withPkiLock } from './pki-lock.js';
import { renewalDueAt } from './renewal.js';
import { readRevocationList } from './revocation-list.js';
import { restoreRevocationList } from './rollover.js';

export interface RenewOptions {
  readonly home: HomePaths;
  readonly instance: string;
  /** Host names and addresses of listeners beside loopback. */
  readonly addresses: readonly string[];
  /** `server` and identities that may be renewed; those without a certificate are left out. */
  readonly subjects: readonly string[];
  /** `due`: two thirds of the life are over, or it is unusable. */
  readonly select: 'due' | 'all';
  readonly days?: number;
  readonly now?: Date;
  /** What a running service has to send its request, and to take its certificate; 5 s by default. */
  readonly answerTimeoutMs?: number;
  readonly announce?: Announce;
}

export interface RenewReport {
  /** Certificates made by this call, by path. */
  readonly renewed: readonly string[];
  /** Those of {@link renewed} whose key the service made, and keeps. */
  readonly byRequest: readonly string[];
  readonly kept: readonly string[];
  /** Sentences: requests that were refused, certificates that were not taken. */
  readonly problems: readonly string[];
}

interface Grant extends Delivery {
  readonly path: string;
}

/**
 * Replaces certificates of a home; services that use them take the new ones over while they run. A
 * running service makes its key itself and sends a request; for identities without one, for one
 * that does not answer or has nothing to prove itself with, and for `server`, which several programs
 * share, the key is made here. A request that is refused gets nothing. The old certificates stay
 * valid until they expire or are revoked. Throws `certificate_invalid` or `io`.
 */
export async function renewCertificates(options: RenewOptions): Promise<RenewReport> {
  const { home, announce, answerTimeoutMs = ANSWER_TIMEOUT_MS } = options;
  return withPkiLock(home, async () => {
    if (await exists(home.ca.key)) await restoreRevocationList(home, options.now ?? new Date());
    const { due, provable, kept } = await select(options);
    const asked = await askHolders(home, provable, answerTimeoutMs);
    const minted: MintedLeaf[] = [];
    const granted: Grant[] = [];
    const problems: string[] = [];
    for (const subject of due) {
      const request = asked.get(subject);
      if (request === undefined) {
        minted.push(await mintLeaf(requestFor(subject, options)));
        continue;
      }
      await grant(subject, request, options).then(
        (given) => granted.push(given),
        (error: unknown) => problems.push(`${subject} was not renewed: ${messageOf(error)}`),
      );
    }
    if (minted.length + granted.length > 0) await writeMinted(minted, announce);
    const byRequest: string[] = [];
    for (const given of granted) {
      if (await handOver(home, given, answerTimeoutMs)) byRequest.push(given.path);
      else
        problems.push(
          `${given.identity} did not take its certificate, and goes on with the old one.`,
        );
    }
    return {
      renewed: [...minted.map(({ target }) => target.cert), ...byRequest],
      byRequest,
      kept,
      problems,
    };
  });
}

interface Selection {
  readonly due: readonly string[];
  /** Identities among {@link due} whose certificate still proves who they are. */
  readonly provable: readonly string[];
  /** By path. */
  readonly kept: readonly string[];
}

async function select(options: RenewOptions): Promise<Selection> {
  const { home, subjects } = options;
  const due: string[] = [];
  const provable: string[] = [];
  const kept: string[] = [];
  for (const subject of subjects) {
    const target = subject === 'server' ? home.server : home.client(subject);
    if (!(await exists(target.cert))) continue;
    const age = await ageOf(target, subject, options);
    if (options.select === 'due' && age === 'young') {
      kept.push(target.cert);
      continue;
    }
    due.push(subject);
    if (subject !== 'server' && age !== 'unusable') provable.push(subject);
  }
  return { due, provable, kept };
}

async function grant(identity: string, asked: Asked, options: RenewOptions): Promise<Grant> {
  if (asked.state === 'refused') throw new Error(asked.reason);
  const { home, instance, now = new Date() } = options;
  const { text, challenge } = asked;
  const { trusted: ca } = await loadAuthority(home, now);
  const { serials: revoked } = await readRevocationList(home.ca.cert, ca);
  const publicKey = await checkRequest({ text, challenge, identity, instance, ca, revoked, now });
  const { cert } = await signLeaf(requestFor(identity, options), publicKey);
  return { identity, cert, path: home.client(identity).cert };
}

function requestFor(subject: string, options: RenewOptions): IssueOptions {
  const { home, instance, addresses, days, now } = options;
  const base = {
    home,
    instance,
    ...(days !== undefined && { days }),
    ...(now !== undefined && { now }),
  };
  return subject === 'server'
    ? { ...base, kind: 'server', addresses }
    : { ...base, kind: 'client', identity: subject };
}

async function ageOf(
  target: KeyPairFiles,
  subject: string,
  { home, now = new Date() }: RenewOptions,
): Promise<'young' | 'due' | 'unusable'> {
  const { trusted } = await loadAuthority(home, now);
  const { serials: revoked } = await readRevocationList(home.ca.cert, trusted);
  const { info, faults } = verifyCertificate({
    ca: trusted,
    cert: await readPem(target.cert, 'certificate'),
    ...((await exists(target.key)) && { key: await readPem(target.key, 'private key') }),
    revoked,
    usage: subject === 'server' ? 'server' : 'client',
    path: target.cert,
    now,
  });
  if (info === undefined || faults.length > 0) return 'unusable';
  return now >= renewalDueAt(info) ? 'due' : 'young';
}
