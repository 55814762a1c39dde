import { readFile, rm } from 'node:fs/promises';
import { writeFileAtomic, type HomePaths } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { createAuthority, loadAuthority, subjectKeyId, type Authority } from './authority.js';
import { readLedger, writeLedger } from './ledger.js';
import { archive, exists } from './archive.js';
import { pkiFiles } from './pki-files.js';
import { withPkiLock } from './pki-lock.js';
import { writeRevocationList } from './revocation-list.js';

/**
 * `none`: one CA. `trusting`: the new CA is trusted and signs nothing yet, so that everybody knows
 * it before its first certificate appears. `signing`: it signs, and the old one is still trusted.
 */
export type RolloverPhase = 'none' | 'trusting' | 'signing';

export interface RolloverStatus {
  readonly phase: RolloverPhase;
  /** Unexpired certificates that the old CA signed and nobody revoked, by subject. */
  readonly remaining: readonly string[];
}

/** How far a rollover is. */
export async function rolloverStatus(home: HomePaths, now = new Date()): Promise<RolloverStatus> {
  const { nextCa, oldCa } = pkiFiles(home);
  if (await exists(nextCa.key)) return { phase: 'trusting', remaining: [] };
  if (!(await exists(oldCa.key))) return { phase: 'none', remaining: [] };
  const old = await loadAuthority(home, now, oldCa);
  const id = subjectKeyId(old.certificate);
  const { issued } = await readLedger(home);
  const newest = new Map(issued.map((entry) => [entry.subject, entry]));
  const behind = [...newest.values()].filter(
    (entry) =>
      entry.authority === id && entry.revokedAt === undefined && new Date(entry.notAfter) > now,
  );
  return { phase: 'signing', remaining: behind.map(({ subject }) => subject) };
}

/** The CAs whose certificates are accepted now, the one that signs first. */
export async function trustedAuthorities(home: HomePaths, now: Date): Promise<Authority[]> {
  const { nextCa, oldCa } = pkiFiles(home);
  const authorities = [await loadAuthority(home, now)];
  for (const pair of [nextCa, oldCa]) {
    if (await exists(pair.key)) authorities.push(await loadAuthority(home, now, pair));
  }
  const ids = authorities.map(({ certificate }) => subjectKeyId(certificate));
  return authorities.filter((_authority, at) => ids.indexOf(ids[at] ?? '') === at);
}

/** Makes the next CA and has it trusted beside the present one. Throws `config_invalid`. */
export async function trustNextAuthority(
  home: HomePaths,
  instance: string,
  now = new Date(),
): Promise<void> {
  await withPkiLock(home, async () => {
    const { phase } = await rolloverStatus(home, now);
    if (phase !== 'none') throw refused(`A rollover is under way (${phase}). Finish it first.`);
    const present = await loadAuthority(home, now);
    const { nextCa } = pkiFiles(home);
    const generation = generationOf(present) + 1;
    await createAuthority(home, { instance, generation, paths: nextCa, now });
    await publishTrust(home, now);
  });
}

/** From now on the new CA signs; the old one stays trusted. */
export async function signWithNextAuthority(home: HomePaths, now = new Date()): Promise<void> {
  await withPkiLock(home, async () => {
    const { phase } = await rolloverStatus(home, now);
    if (phase !== 'trusting') throw refused('No CA waits to sign. Run `certs rollover start`.');
    const { nextCa, oldCa } = pkiFiles(home);
    const next = await loadAuthority(home, now, nextCa);
    // A crash after any line leaves files from which the same call goes on: no key is ever in one
    // place alone, and the CA file holds both certificates throughout.
    if (!(await exists(oldCa.key))) {
      const present = await loadAuthority(home, now);
      writeFileAtomic(oldCa.cert, present.pem, 0o644);
      writeFileAtomic(oldCa.key, await readFile(home.ca.key, 'utf8'), 0o600);
    }
    writeFileAtomic(home.ca.key, await readFile(nextCa.key, 'utf8'), 0o600);
    const old = await loadAuthority(home, now, oldCa);
    writeFileAtomic(home.ca.cert, next.pem + old.pem, 0o644);
    await rm(nextCa.cert);
    await rm(nextCa.key);
    await publishTrust(home, now);
  });
}

/**
 * The old CA is trusted no more, and its key is set aside as `ca.key.revoked-<date>`. Refused while
 * a certificate in use is of the old CA.
 */
export async function dropOldAuthority(
  home: HomePaths,
  now = new Date(),
): Promise<readonly string[]> {
  return withPkiLock(home, async () => {
    const { phase, remaining } = await rolloverStatus(home, now);
    if (phase !== 'signing') throw refused('There is no rollover to finish.');
    if (remaining.length > 0) {
      throw refused(
        `Certificates of the old CA are still the newest of ${remaining.join(', ')}. ` +
          'Renew them with `sanctumctl certs renew --all`, or revoke them.',
      );
    }
    const { oldCa } = pkiFiles(home);
    const old = subjectKeyId((await loadAuthority(home, now, oldCa)).certificate);
    const ledger = await readLedger(home);
    const issued = ledger.issued.filter(({ authority }) => authority !== old);
    const archived = await archive(oldCa.key, now, home.ca.key);
    const archivedCert = await archive(oldCa.cert, now, home.ca.cert);
    writeLedger(home, { ...ledger, issued }, now);
    await publishTrust(home, now);
    return [archived, archivedCert];
  });
}

/**
 * Lists first, then the certificates: a reader that meets the new lists with the old file of CAs is
 * content, and one that meets a CA without a list is not.
 */
async function publishTrust(home: HomePaths, now: Date): Promise<void> {
  const authorities = await trustedAuthorities(home, now);
  const { issued } = await readLedger(home);
  await writeRevocationList(home, { authorities, issued, now });
  writeFileAtomic(home.ca.cert, authorities.map(({ pem }) => pem).join(''), 0o644);
}

function generationOf({ certificate }: Authority): number {
  const [name = ''] = certificate.subjectName.getField('CN');
  return Number(/ (\d+)$/.exec(name)?.[1] ?? 1);
}

function refused(message: string): SanctumError {
  return new SanctumError('config_invalid', message);
}
