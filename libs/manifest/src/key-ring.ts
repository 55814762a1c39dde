import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SanctumError } from '@sanctum/errors';
import { readSmallFile } from './small-file.js';
import { keyIdOf, PUBLIC_KEYS_MAX, type TrustedKey } from './signature.js';

/** A key that was archived under `<name>.revoked-<date>`: whatever it signed is refused. */
export interface RevokedKey extends TrustedKey {
  readonly id: string;
  /** `2026-11-30` */
  readonly revokedOn: string;
}

/** The keys a manifest may be signed by, and those it may no longer be signed by. */
export interface KeyRing {
  readonly trusted: readonly TrustedKey[];
  readonly revoked: readonly RevokedKey[];
}

const TRUSTED_NAME = /\.(?:ed25519|pub)$/;
const REVOKED_NAME = /\.revoked-(?<date>\d{4}-\d\d-\d\d)$/;
/** Files of a trust folder that are looked at. */
const FOLDER_ENTRIES_MAX = 256;

/**
 * Reads public keys: each path is a file of 32 raw bytes, or a folder whose `*.ed25519` and `*.pub`
 * are trusted. Archived keys lie beside them; a key that is archived is not trusted under any other
 * name either. Throws `manifest_refused` naming what cannot be read, or when there are too many.
 */
export function readKeyRing(paths: readonly string[]): KeyRing {
  const sources = paths.map((path) => keyFilesAt(path));
  const revoked = unique(sources.flatMap((found) => found.revoked)).map((source) => {
    const bytes = readSmallFile(source, 'revoked key');
    const revokedOn = REVOKED_NAME.exec(source)?.groups?.['date'] ?? '';
    return { source, bytes, id: keyIdOf(bytes), revokedOn };
  });
  const ids = new Set(revoked.map(({ id }) => id));
  const read = sources
    .flatMap((found) => found.trusted)
    .map((source) => ({ source, bytes: readSmallFile(source, 'public key') }));
  const trusted = read.filter(({ bytes }) => !ids.has(keyIdOf(bytes)));
  if (read.length === 0 || trusted.length > PUBLIC_KEYS_MAX) {
    throw refused(
      paths.join(', '),
      `Between 1 and ${PUBLIC_KEYS_MAX} public keys are needed to check a manifest; ` +
        `${trusted.length} were found in ${paths.join(', ') || 'no place'}.`,
    );
  }
  return { trusted, revoked };
}

/** Throws `manifest_refused` when the key was revoked. */
export function assertNotRevoked(ring: KeyRing, keyId: string, source: string): void {
  const archived = ring.revoked.find(({ id }) => id === keyId);
  if (archived === undefined) return;
  throw refused(
    source,
    `${source} was signed by key ${keyId}, which was revoked on ${archived.revokedOn} ` +
      `(${archived.source}). Sign it again with a key that is trusted.`,
  );
}

function keyFilesAt(path: string): { trusted: string[]; revoked: string[] } {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const folder = isFolder ? path : dirname(path);
  const names = namesIn(folder);
  const within = (pattern: RegExp): string[] =>
    names.filter((name) => pattern.test(name)).map((name) => join(folder, name));
  return {
    trusted: isFolder ? within(TRUSTED_NAME) : [path],
    revoked: within(REVOKED_NAME),
  };
}

function namesIn(folder: string): string[] {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  const names = readdirSync(folder).filter(
    (name) => TRUSTED_NAME.test(name) || REVOKED_NAME.test(name),
  );
  if (names.length > FOLDER_ENTRIES_MAX) {
    throw refused(folder, `${folder} holds more than ${FOLDER_ENTRIES_MAX} keys.`);
  }
  return names.sort();
}

/** The name a key is archived under: `<file>.revoked-<date>`. */
export function revokedName(file: string, now: Date): string {
  return `${basename(file)}.revoked-${now.toISOString().slice(0, 10)}`;
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}

function refused(param: string, message: string): SanctumError {
  return new SanctumError('manifest_refused', message, { param });
}
