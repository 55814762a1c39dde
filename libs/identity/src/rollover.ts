import { readFile, rm } from 'node:fs/promises';
import { writeFileAtomic, type HomePaths, type KeyPairFiles } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { createAuthority, loadAuthority, subjectKeyId, type Authority } from './authority.js';
import { listCertificates } from './inspect.js';
import { readLedger, writeLedger } from './ledger.js';
import { archive, exists } from './archive.js';
import { crlPathOf, pkiFiles } from './pki-files.js';
import { withPkiLock } from './pki-lock.js';
import { writeRevocationList } from './revocation-list.js';

/**
 * `none`: one CA. `trusting`: the new CA is trusted and signs nothing yet, so that everybody knows
 * it before its first certificate appears. `signing`: it signs, and the old one is still trusted.
 */
export type RolloverPhase = 'none' | 'trusting' | 'signing';

export interface RolloverStatus {
  readonly phase: RolloverPhase;
  /** Who has a certificate of the old CA that is neither expired nor revoked, by subject. */
  readonly remaining: readonly string[];
}

/** How far a rollover is. */
export async function rolloverStatus(home: HomePaths, now = new Date()): Promise<RolloverStatus> {
  const { nextCa, oldCa } = pkiFiles(home);
  if (await hasPair(nextCa)) return { phase: 'trusting', remaining: [] };
  if (!(await hasPair(oldCa))) return { phase: 'none', remaining: [] };
  const old = await loadAuthority(home, now, oldCa);
  return { phase: 'signing', remaining: await behind(home, subjectKeyId(old.certificate), now) };
}

/** A certificate that was signed and not written yet leaves that of the old CA in use. */
async function behind(home: HomePaths, old: string, now: Date): Promise<readonly string[]> {
  const { issued } = await readLedger(home);
  const newest = new Map(issued.map((entry) => [entry.subject, entry]));
  const inUse = new Set((await listCertificates(home)).map(({ serial }) => serial));
  const found = issued.filter(
    (entry) =>
      (entry === newest.get(entry.subject) || inUse.has(entry.serial)) &&
      entry.authority === old &&
      entry.revokedAt === undefined &&
      new Date(entry.notAfter) > now,
  );
  return [...new Set(found.map(({ subject }) => subject))];
}

/** A pair is two renames: one file alone is what a crash left, and counts for nothing. */
async function hasPair({ cert, key }: KeyPairFiles): Promise<boolean> {
  return (await exists(cert)) && (await exists(key));
}

/** The CAs whose certificates are accepted now, the one that signs first. */
export async function trustedAuthorities(home: HomePaths, now: Date): Promise<Authority[]> {
  const { nextCa, oldCa } = pkiFiles(home);
  const authorities = [await loadAuthority(home, now)];
  for (const pair of [nextCa, oldCa]) {
    if (await hasPair(pair)) authorities.push(await loadAuthority(home, now, pair));
  }
  const ids = authorities.map(({ certificate }) => subjectKeyId(certificate));
  return authorities.filter((_authority, at) => ids.indexOf(ids[at] ?? '') === at);
}

/** Signs the revocation list anew from the ledger where its file is gone. */
export async function restoreRevocationList(home: HomePaths, now: Date): Promise<void> {
  if (await exists(crlPathOf(home.ca.cert))) return;
  const authorities = await trustedAuthorities(home, now);
  const { issued } = await readLedger(home);
  await writeRevocationList(home, { authorities, issued, now });
}

/**
 * Makes the next CA, unless there is one, and has it trusted beside the present one. Throws
 * `config_invalid` when it signs already.
 */
export async function trustNextAuthority(
  home: HomePaths,
  instance: string,
  now = new Date(),
): Promise<void> {
  await withPkiLock(home, async () => {
    const { phase } = await rolloverStatus(home, now);
    if (phase === 'signing') throw refused('A rollover is under way. Finish it first.');
    if (phase === 'none') await createNext(home, instance, now);
    await publishTrust(home, now);
  });
}

async function createNext(home: HomePaths, instance: string, now: Date): Promise<void> {
  const { nextCa } = pkiFiles(home);
  const generation = generationOf(await loadAuthority(home, now)) + 1;
  await removePair(nextCa);
  await createAuthority(home, { instance, generation, paths: nextCa, now });
}

/**
 * From now on the new CA signs; the old one stays trusted. Changes nothing when it signs already.
 * Throws `config_invalid` when there is no new CA.
 */
export async function signWithNextAuthority(home: HomePaths, now = new Date()): Promise<void> {
  await withPkiLock(home, async () => {
    const { phase } = await rolloverStatus(home, now);
    if (phase === 'none') throw refused('No CA waits to sign. Run `certs rollover start`.');
    if (phase === 'trusting') await putNextInPlace(home, now);
    await removePair(pkiFiles(home).nextCa);
  });
}

/**
 * A crash after any line leaves files from which the same call goes on: no key is ever in one place
 * alone, and the CA file holds both certificates throughout.
 */
async function putNextInPlace(home: HomePaths, now: Date): Promise<void> {
  const { nextCa, oldCa } = pkiFiles(home);
  if (!(await hasPair(oldCa))) {
    const present = await loadAuthority(home, now);
    await publishTrust(home, now);
    writeFileAtomic(oldCa.cert, present.pem, 0o644);
    writeFileAtomic(oldCa.key, await readFile(home.ca.key, 'utf8'), 0o600);
  }
  writeFileAtomic(home.ca.key, await readFile(nextCa.key, 'utf8'), 0o600);
  await publishTrust(home, now);
}

/** The certificate first: without it the key counts for nothing. */
async function removePair({ cert, key }: KeyPairFiles): Promise<void> {
  await rm(cert, { force: true });
  await rm(key, { force: true });
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
    // Until its files are gone the same call goes on where a crash left it; what it revoked is
    // forgotten when nobody trusts it any more.
    const present = await loadAuthority(home, now);
    writeFileAtomic(home.ca.cert, present.pem, 0o644);
    await writeRevocationList(home, { authorities: [present], issued, now });
    writeLedger(home, { ...ledger, issued }, now);
    return [
      await archive(oldCa.key, now, home.ca.key),
      await archive(oldCa.cert, now, home.ca.cert),
    ];
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
