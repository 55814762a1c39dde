import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  type BigIntStats,
} from 'node:fs';
import { join } from 'node:path';
import { messageOf, SanctumError } from '@sanctum/errors';
import { MANIFEST_ENTRIES_MAX, pathFault } from './manifest-text.js';

/** A file of a model, open for reading. The same descriptor is hashed and later mapped. */
export interface OpenFile {
  /** Path inside the model's folder, as the manifest names it. */
  readonly name: string;
  readonly fd: number;
  /** Bytes. */
  readonly size: number;
}

/** An open file as it was before its first byte was read. */
export interface WatchedFile extends OpenFile {
  readonly path: string;
  /** What a later look is compared with. */
  opened: BigIntStats;
  /** Its SHA-256, once it was found to be as listed. */
  digest?: string;
}

const REHASH_BUFFER_BYTES = 256 * 1024;

/**
 * Every file below `dir`, by path relative to it. Throws `manifest_refused` naming the first entry
 * that is a symlink, no plain file, or unfit for a manifest.
 */
export function listModelFiles(dir: string): string[] {
  const found: string[] = [];
  const walk = (prefix: string): void => {
    for (const entry of readFolder(join(dir, prefix))) {
      const path = `${prefix}${entry.name}`;
      const fault = pathFault(path);
      if (fault !== undefined) throw refused(join(dir, path), fault);
      if (entry.isSymbolicLink()) throw refused(join(dir, path), 'is a symbolic link');
      if (entry.isDirectory()) walk(`${path}/`);
      else if (entry.isFile()) found.push(path);
      else throw refused(join(dir, path), 'is not a plain file');
      if (found.length > MANIFEST_ENTRIES_MAX) {
        throw refused(dir, `holds more than ${MANIFEST_ENTRIES_MAX} files`);
      }
    }
  };
  walk('');
  return found.sort();
}

/** Opens a file without following a link at its end. Throws `manifest_refused` naming it. */
export function openModelFile(dir: string, name: string): WatchedFile {
  const path = join(dir, name);
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  let fd: number | undefined;
  try {
    fd = openSync(path, flags);
    const opened = fstatSync(fd, { bigint: true });
    if (!opened.isFile()) throw refused(path, 'is not a plain file');
    return { name, path, fd, size: Number(opened.size), opened };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    if (error instanceof SanctumError) throw error;
    throw refused(path, `cannot be opened: ${messageOf(error)}`, error);
  }
}

/**
 * Throws `manifest_refused` when a file was written to since it was opened. One that was only
 * unlinked, as by a rename over its name, carries the same mark (its ctime): it is hashed again,
 * here and now, and stays when its bytes are the proven ones.
 */
export function assertUnchanged(files: readonly WatchedFile[]): void {
  for (const file of files) {
    const { path, fd, opened } = file;
    const now = fstatSync(fd, { bigint: true });
    if (now.ctimeNs === opened.ctimeNs && now.size === opened.size) continue;
    const onlyUnlinked =
      now.nlink < opened.nlink && now.size === opened.size && now.mtimeNs === opened.mtimeNs;
    if (!onlyUnlinked || file.digest === undefined || rehash(fd) !== file.digest) {
      throw refused(path, 'was changed while it was being verified');
    }
    const after = fstatSync(fd, { bigint: true });
    if (after.ctimeNs !== now.ctimeNs) throw refused(path, 'was changed while it was hashed again');
    file.opened = after;
  }
}

function rehash(fd: number): string {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(REHASH_BUFFER_BYTES);
  let position = 0;
  for (;;) {
    const read = readSync(fd, buffer, 0, buffer.length, position);
    if (read === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, read));
    position += read;
  }
}

export function closeAll(files: readonly OpenFile[]): void {
  for (const { fd } of files) closeSync(fd);
}

function readFolder(path: string) {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    throw refused(path, `cannot be listed: ${messageOf(error)}`, error);
  }
}

function refused(path: string, what: string, cause?: unknown): SanctumError {
  return new SanctumError('manifest_refused', `${path} ${what}.`, { param: path, cause });
}
