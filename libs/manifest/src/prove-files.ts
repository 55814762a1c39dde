import { join } from 'node:path';
import { SanctumError } from '@sanctum/errors';
import { hashFiles, type HashOptions } from './hash-files.js';
import type { ManifestEntry } from './manifest-text.js';
import {
  assertUnchanged,
  closeAll,
  listModelFiles,
  openModelFile,
  type WatchedFile,
} from './model-files.js';

export interface ProofOptions extends HashOptions {
  /** The model's folder. */
  readonly dir: string;
  /** Who lists the entries, for messages. */
  readonly source: string;
}

/**
 * Opens each listed file once and proves it: the folder holds the listed files and nothing else,
 * every hash is the listed one, and no file was written to meanwhile. The descriptors stay open.
 * Throws `manifest_refused` naming the file at fault, with everything closed.
 */
export async function proveFiles(
  entries: readonly ManifestEntry[],
  options: ProofOptions,
): Promise<WatchedFile[]> {
  const { dir, source } = options;
  assertSameFiles(entries, options);
  const files: WatchedFile[] = [];
  try {
    for (const { path } of entries) files.push(openModelFile(dir, path));
    const digests = await hashFiles(files, options);
    for (const [index, file] of files.entries()) {
      const listed = entries[index]?.digest;
      if (listed === undefined || digests[index] !== listed) {
        throw refused(
          file.path,
          `does not have the hash that ${source} lists: it is damaged or was changed`,
        );
      }
      file.digest = listed;
    }
    assertUnchanged(files);
    return files;
  } catch (error) {
    closeAll(files);
    throw error;
  }
}

/** Proves a folder against what somebody else stated, and closes it again. */
export async function assertFolderHolds(
  entries: readonly ManifestEntry[],
  options: ProofOptions,
): Promise<void> {
  closeAll(await proveFiles(entries, options));
}

function assertSameFiles(entries: readonly ManifestEntry[], { dir, source }: ProofOptions): void {
  const present = new Set(listModelFiles(dir));
  for (const { path } of entries) {
    if (!present.delete(path)) throw refused(join(dir, path), `is listed in ${source} but missing`);
  }
  const [extra] = present;
  if (extra !== undefined) throw refused(join(dir, extra), `is not listed in ${source}`);
}

function refused(path: string, what: string): SanctumError {
  return new SanctumError('manifest_refused', `${path} ${what}.`, { param: path });
}
