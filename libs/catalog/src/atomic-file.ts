import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf, SanctumError } from '@sanctum/errors';

/**
 * Replaces a file whole: temp file beside it, fsync, rename, fsync of the folder. When any step
 * fails (a full disk, say) the old file is as it was, the temp file is gone and `io` is thrown.
 *
 * @param mode permission bits of the new file; default 0600
 */
export function writeFileAtomic(path: string, data: string | Uint8Array, mode = 0o600): void {
  const folder = dirname(path);
  const temp = tempBeside(path);
  let descriptor: number | undefined;
  try {
    descriptor = openSync(temp, 'wx', mode);
    writeAll(descriptor, typeof data === 'string' ? Buffer.from(data) : data);
    fsyncSync(descriptor);
    closeSync(descriptor);
    descriptor = undefined;
    renameSync(temp, path);
    syncFolder(folder);
  } catch (error) {
    if (descriptor !== undefined) {
      closeSync(descriptor);
    }
    removeQuietly(temp);
    throw notWritten(path, error);
  }
}

/**
 * What {@link writeFileAtomic} does, without holding the event loop while the disk works. Rejects
 * with `io`, the old file as it was.
 */
export async function replaceFile(
  path: string,
  data: string | Uint8Array,
  mode = 0o600,
): Promise<void> {
  const temp = tempBeside(path);
  try {
    const file = await open(temp, 'wx', mode);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temp, path);
    const folder = await open(dirname(path), 'r');
    await folder.sync().finally(() => folder.close());
  } catch (error) {
    await rm(temp, { force: true });
    throw notWritten(path, error);
  }
}

function tempBeside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
}

function notWritten(path: string, cause: unknown): SanctumError {
  return new SanctumError(
    'io',
    `${path} was not written (${messageOf(cause)}); the former content is untouched. ` +
      'Check free space and permissions of its folder.',
    { cause, param: path },
  );
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) {
    written += writeSync(descriptor, bytes, written);
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // The temp file was never made or is already renamed.
  }
}
