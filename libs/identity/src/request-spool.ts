import { constants } from 'node:fs';
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf, writeFileAtomic, type HomePaths } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { pkiFiles } from './pki-files.js';

/** What passes between the job that has the CA's key and one service, file by file. */
export interface RequestFiles {
  /** The service is there, and which files it has taken over. */
  readonly holder: string;
  /** The job's challenge: ask for a certificate now. */
  readonly order: string;
  /** The service's request. */
  readonly request: string;
  /** The certificate. */
  readonly answer: string;
}

/** A request takes less than two. */
export const SPOOL_FILE_BYTES_MAX = 16 << 10;
const LOOK_MS = 20;

export function requestFiles(home: Pick<HomePaths, 'certs'>, identity: string): RequestFiles {
  const { requests } = pkiFiles(home);
  const file = (end: string): string => join(requests, `${identity}.${end}`);
  return {
    holder: file('holder'),
    order: file('order'),
    request: file('request'),
    answer: file('crt'),
  };
}

/** Makes the spool; whether there is one now, for a home without certificates has none. */
export async function ensureSpool(home: Pick<HomePaths, 'certs'>): Promise<boolean> {
  try {
    await mkdir(pkiFiles(home).requests, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  return true;
}

/** For its owner alone, and whole: readers never meet half a file. */
export function writeSpoolFile(path: string, text: string): void {
  writeFileAtomic(path, text, 0o600);
}

/**
 * The text of a file of the spool; undefined when there is none. Throws `certificate_invalid` for
 * what nobody of this house would have put there: a link, a folder or pipe, another user's file, one
 * that others can read or write, one that is too long.
 */
export async function readSpoolFile(path: string): Promise<string | undefined> {
  let file: FileHandle;
  try {
    // O_NONBLOCK: opening a pipe that nobody writes to would never return.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    file = await open(path, flags);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    const said = errnoOf(error) === 'ELOOP' ? 'is a symbolic link' : messageOf(error);
    throw refused(path, said, error);
  }
  try {
    const { uid, mode, size } = await file.stat();
    const owner = process.getuid?.() ?? uid;
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw refused(path, 'is no regular file');
    if (uid !== owner) throw refused(path, `belongs to user ${uid}`);
    if ((mode & 0o077) !== 0) throw refused(path, 'is open to others: it must be 0600');
    if (size > SPOOL_FILE_BYTES_MAX) {
      throw refused(path, `has ${size} bytes; at most ${SPOOL_FILE_BYTES_MAX} are read`);
    }
    // One byte more than allowed: a file that grows meanwhile is found out.
    const buffer = Buffer.alloc(SPOOL_FILE_BYTES_MAX + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > SPOOL_FILE_BYTES_MAX) throw refused(path, 'grows while it is read');
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Whatever lies under these names, links themselves included; folders are left to be refused. */
export async function clearSpoolFiles(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { force: true }).catch(() => undefined);
}

/** Asks again and again until there is an answer or the time is up; then undefined. */
export async function awaitAnswer<Answer>(
  ask: () => Promise<Answer | undefined>,
  timeoutMs: number,
): Promise<Answer | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined || performance.now() >= deadline) return answer;
    await delay(LOOK_MS);
  }
}

function refused(path: string, said: string, cause?: unknown): SanctumError {
  return new SanctumError('certificate_invalid', `${path} ${said}. Remove it.`, {
    cause,
    param: path,
  });
}
