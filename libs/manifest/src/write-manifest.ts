import { readFileSync, statSync } from 'node:fs';
import { writeFileAtomic } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { hashFiles, type HashOptions } from './hash-files.js';
import { formatManifest, type ManifestHeader } from './manifest-text.js';
import { assertUnchanged, closeAll, listModelFiles, openModelFile } from './model-files.js';
import { generateSigningKeys, PRIVATE_KEY_BYTES, publicKeyOf, signManifest } from './signature.js';

/** Hashes every file of a model's folder. Returns the text; write it beside the folder, not into it. */
export async function composeManifest(
  dir: string,
  header: ManifestHeader,
  options: HashOptions = {},
): Promise<string> {
  const names = listModelFiles(dir);
  if (names.length === 0) {
    throw new SanctumError('manifest_refused', `${dir} holds no file.`, { param: dir });
  }
  const files = names.map((name) => openModelFile(dir, name));
  try {
    const digests = await hashFiles(files, options);
    assertUnchanged(files);
    const entries = names.map((path, index) => ({ path, digest: digests[index] ?? '' }));
    return formatManifest({ header, entries });
  } finally {
    closeAll(files);
  }
}

/** Makes an Ed25519 pair: the public key for the repository, the private one 0600. Throws `io`. */
export function writeSigningKeys(paths: {
  readonly publicKey: string;
  readonly privateKey: string;
}): void {
  const keys = generateSigningKeys();
  writeFileAtomic(paths.privateKey, keys.privateKey, 0o600);
  writeFileAtomic(paths.publicKey, keys.publicKey, 0o644);
}

/** The raw private key of a file. Throws `manifest_refused` when others may read it. */
export function readSigningKey(path: string): Buffer {
  try {
    const { mode, size } = statSync(path);
    if ((mode & 0o077) !== 0) {
      throw refused(path, 'can be read by others: run chmod 600 on it');
    }
    if (size !== PRIVATE_KEY_BYTES) {
      throw refused(path, `has ${size} bytes; an Ed25519 private key has ${PRIVATE_KEY_BYTES}`);
    }
    return readFileSync(path);
  } catch (error) {
    if (error instanceof SanctumError) throw error;
    throw refused(path, `cannot be read: ${messageOf(error)}`, error);
  }
}

/** Signs a manifest file; writes 64 raw bytes to `signature`. Returns the public key. */
export function signManifestFile(paths: {
  readonly manifest: string;
  readonly signature: string;
  readonly privateKey: string;
}): Buffer {
  const key = readSigningKey(paths.privateKey);
  writeFileAtomic(paths.signature, signManifest(readFileSync(paths.manifest), key), 0o644);
  return publicKeyOf(key);
}

function refused(path: string, what: string, cause?: unknown): SanctumError {
  return new SanctumError('manifest_refused', `${path} ${what}.`, { param: path, cause });
}
