import type { HomePaths, KeyPairFiles } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { archive, exists } from './archive.js';
import { describeCertificate } from './inspect.js';
import { readLedger, writeLedger, type IssuedCertificate } from './ledger.js';
import { readPem } from './pem-file.js';
import { withPkiLock } from './pki-lock.js';
import { writeRevocationList } from './revocation-list.js';
import { trustedAuthorities } from './rollover.js';
import type { ServiceIdentity } from './service-identity.js';

export interface RevokeOptions {
  readonly home: HomePaths;
  /** `server`, an identity, or a serial number in hexadecimal. */
  readonly target: string;
  /** Spares the newest certificate of an identity: what it replaced is revoked. */
  readonly keepNewest?: boolean;
  readonly now?: Date;
}

export interface RevokeReport {
  readonly revoked: readonly IssuedCertificate[];
  /** Files that were set aside, by their new paths. */
  readonly archived: readonly string[];
}

/**
 * Takes certificates back: they are marked in the ledger, the revocation list is signed anew, and
 * files of the home that hold one are set aside as `<file>.revoked-<date>`. Services refuse them as
 * soon as they see the list. Throws `config_invalid` when nothing valid goes by that name.
 */
export async function revokeCertificates(options: RevokeOptions): Promise<RevokeReport> {
  const { home, now = new Date() } = options;
  return withPkiLock(home, async () => {
    const ledger = await readLedger(home);
    const authorities = await trustedAuthorities(home, now);
    const chosen = new Set(choose(ledger.issued, options, now));
    const revokedAt = now.toISOString();
    const issued = ledger.issued.map((entry) =>
      chosen.has(entry) ? { ...entry, revokedAt } : entry,
    );
    const revoked = issued.filter((_entry, at) => chosen.has(ledger.issued[at] ?? NONE));
    writeLedger(home, { ...ledger, issued }, now);
    await writeRevocationList(home, { authorities, issued, now });
    const serials = new Set(revoked.map(({ serial }) => serial));
    const pairs = [...new Set(revoked.map(({ subject }) => subject))].map((subject) =>
      subject === 'server' ? home.server : home.client(subject),
    );
    const archived: string[] = [];
    for (const pair of pairs) archived.push(...(await setAside(pair, serials, now)));
    return { revoked, archived };
  });
}

/**
 * Who may log in to NATS, which knows names and not serial numbers: of each identity the two last
 * generations that are neither expired nor revoked. A rotation has two, a revocation takes one.
 */
export async function acceptedGenerations(
  home: HomePaths,
  now = new Date(),
): Promise<readonly ServiceIdentity[]> {
  const { issued } = await readLedger(home);
  const accepted = issued.filter(
    (entry) =>
      entry.generation > 0 && entry.revokedAt === undefined && new Date(entry.notAfter) > now,
  );
  const names = [...new Set(accepted.map(({ subject }) => subject))].sort();
  return names.flatMap((name) =>
    accepted
      .filter(({ subject }) => subject === name)
      .sort((a, b) => b.generation - a.generation)
      .slice(0, GENERATIONS_ACCEPTED)
      .map(({ instance, generation }) => ({ instance, name, generation })),
  );
}

const GENERATIONS_ACCEPTED = 2;
const NONE: IssuedCertificate = {
  serial: '',
  subject: '',
  instance: '',
  generation: 0,
  notBefore: '',
  notAfter: '',
  authority: '',
};
const SERIAL = /^[0-9A-F]{8,64}$/;

function choose(
  issued: readonly IssuedCertificate[],
  { target, keepNewest }: RevokeOptions,
  now: Date,
): readonly IssuedCertificate[] {
  const wanted = target.replaceAll(':', '').toUpperCase();
  const valid = issued.filter(
    (entry) =>
      entry.revokedAt === undefined &&
      new Date(entry.notAfter) > now &&
      (entry.subject === target || (SERIAL.test(wanted) && entry.serial === wanted)),
  );
  const newest = valid.at(-1);
  const chosen = keepNewest === true ? valid.filter((entry) => entry !== newest) : valid;
  if (chosen.length > 0 || (keepNewest === true && newest !== undefined)) return chosen;
  throw new SanctumError(
    'config_invalid',
    `No valid certificate goes by "${target}". Name server, an identity, or a serial number as ` +
      '`sanctumctl certs list` shows it.',
    { param: target },
  );
}

/** The key goes first: from then on nobody can present the certificate from these files. */
async function setAside(
  pair: KeyPairFiles,
  serials: ReadonlySet<string>,
  now: Date,
): Promise<string[]> {
  if (!(await exists(pair.cert))) return [];
  const { serial } = describeCertificate(await readPem(pair.cert, 'certificate'), pair.cert);
  if (!serials.has(serial)) return [];
  const archived: string[] = [];
  for (const path of [pair.key, pair.cert]) {
    if (await exists(path)) archived.push(await archive(path, now));
  }
  return archived;
}
