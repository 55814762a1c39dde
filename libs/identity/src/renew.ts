import type { HomePaths, KeyPairFiles } from '@sanctum/catalog';
import { exists } from './archive.js';
import { loadAuthority } from './authority.js';
import { verifyCertificate } from './inspect.js';
import { mintLeaf, writeMinted, type IssueOptions, type MintedLeaf } from './issue.js';
import { readPem } from './pem-file.js';
import { withPkiLock } from './pki-lock.js';
import { renewalDueAt } from './renewal.js';
import { readRevocationList } from './revocation-list.js';

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
  /**
   * Called when the new certificates are recorded and before they are written: NATS has to know a
   * generation before somebody logs in with it.
   */
  readonly announce?: () => Promise<void>;
}

export interface RenewReport {
  /** Certificates made by this call, by path. */
  readonly renewed: readonly string[];
  readonly kept: readonly string[];
}

/**
 * Replaces certificates and keys of a home; services that use them take the new ones over while
 * they run. The old ones stay valid until they expire or are revoked. Throws `certificate_invalid`
 * or `io`.
 */
export async function renewCertificates(options: RenewOptions): Promise<RenewReport> {
  const { home, announce, subjects } = options;
  return withPkiLock(home, async () => {
    const minted: MintedLeaf[] = [];
    const kept: string[] = [];
    for (const subject of subjects) {
      const target = subject === 'server' ? home.server : home.client(subject);
      if (!(await exists(target.cert))) continue;
      if (options.select === 'due' && !(await isDue(target, subject, options))) {
        kept.push(target.cert);
        continue;
      }
      minted.push(await mintLeaf(requestFor(subject, options)));
    }
    if (minted.length > 0) await announce?.();
    for (const leaf of minted) writeMinted(leaf);
    return { renewed: minted.map(({ target }) => target.cert), kept };
  });
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

async function isDue(
  target: KeyPairFiles,
  subject: string,
  { home, now = new Date() }: RenewOptions,
): Promise<boolean> {
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
  return info === undefined || faults.length > 0 || now >= renewalDueAt(info);
}
