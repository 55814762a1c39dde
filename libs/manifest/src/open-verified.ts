import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, SanctumError } from '@sanctum/errors';
import { hashFiles, type HashProgress } from './hash-files.js';
import {
  MANIFEST_BYTES_MAX,
  parseManifest,
  type Manifest,
  type ManifestHeader,
} from './manifest-text.js';
import {
  assertUnchanged,
  closeAll,
  listModelFiles,
  openModelFile,
  type OpenFile,
  type WatchedFile,
} from './model-files.js';
import { keyIdOf, verifySignature } from './signature.js';

export interface ManifestFiles {
  /** Path of the manifest. */
  readonly manifest: string;
  /** Path of its detached signature. */
  readonly signature: string;
  /** Paths of trusted public keys; any one may have signed. */
  readonly publicKeys: readonly string[];
}

export interface OpenVerifiedOptions extends ManifestFiles {
  /** The model's folder. */
  readonly dir: string;
  /** Refuse a manifest without model, version and key id. */
  readonly requireHeader?: boolean;
  readonly onProgress?: (progress: HashProgress) => void;
  readonly threads?: number;
  readonly now?: Date;
}

/** A model whose every byte was proven, held open. */
export interface VerifiedModel {
  /** SHA-256 of the manifest: names these weights in answers, logs and audits. */
  readonly digest: string;
  readonly header: ManifestHeader;
  /** Of the key that signed, see `keyIdOf`. */
  readonly keyId: string;
  /** In the manifest's order. Map these descriptors; never open a file again by name. */
  readonly files: readonly OpenFile[];
  /** Throws `manifest_refused` when a file was written to since it was opened. */
  assertUnchanged(): void;
  close(): void;
}

export interface SignedManifest {
  readonly manifest: Manifest;
  readonly digest: string;
  readonly keyId: string;
}

/**
 * Proves a model and keeps it open: signature over the manifest, then the manifest's syntax and
 * header, then that the folder holds the listed files and nothing else, then every hash, then that
 * no file was written to meanwhile. Each file is opened once; a file swapped by rename afterwards
 * has no effect. Throws `manifest_refused` naming the file at fault, with everything closed.
 */
export async function openVerified(options: OpenVerifiedOptions): Promise<VerifiedModel> {
  const { dir } = options;
  const { manifest, digest, keyId } = readSignedManifest(options);
  assertHeader(manifest.header, { ...options, keyId });
  assertSameFiles(manifest, dir, options.manifest);
  const files: WatchedFile[] = [];
  try {
    for (const entry of manifest.entries) files.push(openModelFile(dir, entry.path));
    const digests = await hashFiles(files, options);
    for (const [index, entry] of manifest.entries.entries()) {
      if (digests[index] === entry.digest) continue;
      throw refused(
        join(dir, entry.path),
        `does not have the hash that ${options.manifest} lists: it is damaged or was changed`,
      );
    }
    assertUnchanged(files);
  } catch (error) {
    closeAll(files);
    throw error;
  }
  return {
    digest,
    header: manifest.header,
    keyId,
    files: files.map(({ name, fd, size }) => ({ name, fd, size })),
    assertUnchanged: () => assertUnchanged(files),
    close: () => closeAll(files),
  };
}

/** Signature first, then syntax: unsigned text is never parsed. Throws `manifest_refused`. */
export function readSignedManifest(paths: ManifestFiles): SignedManifest {
  const bytes = readSmall(paths.manifest, 'manifest');
  const signature = readSmall(paths.signature, 'signature');
  const keys = paths.publicKeys.map((source) => ({
    source,
    bytes: readSmall(source, 'public key'),
  }));
  const signer = verifySignature({ manifest: bytes, signature, keys, source: paths.signature });
  return {
    manifest: parseManifest(bytes, paths.manifest),
    digest: createHash('sha256').update(bytes).digest('hex'),
    keyId: keyIdOf(signer.bytes),
  };
}

function assertHeader(
  header: ManifestHeader,
  check: OpenVerifiedOptions & { readonly keyId: string },
): void {
  const { manifest: source, keyId, now = new Date() } = check;
  const { model, version, expires } = header;
  const complete = model !== undefined && version !== undefined && header.keyId !== undefined;
  if (check.requireHeader === true && !complete) {
    throw refused(source, 'lacks sanctum-model, sanctum-version or sanctum-key-id');
  }
  if (header.keyId !== undefined && header.keyId !== keyId) {
    throw refused(source, `names key ${header.keyId} but was signed by ${keyId}`);
  }
  if (expires !== undefined && now >= expires) {
    throw refused(source, `expired on ${expires.toISOString()}`);
  }
}

function assertSameFiles(manifest: Manifest, dir: string, source: string): void {
  const present = new Set(listModelFiles(dir));
  for (const { path } of manifest.entries) {
    if (!present.delete(path)) throw refused(join(dir, path), `is listed in ${source} but missing`);
  }
  const [extra] = present;
  if (extra !== undefined) throw refused(join(dir, extra), `is not listed in ${source}`);
}

function readSmall(path: string, what: string): Buffer {
  try {
    if (statSync(path).size > MANIFEST_BYTES_MAX) {
      throw refused(path, `is larger than ${MANIFEST_BYTES_MAX} bytes`);
    }
    return readFileSync(path);
  } catch (error) {
    if (error instanceof SanctumError) throw error;
    throw new SanctumError(
      'manifest_refused',
      `The ${what} ${path} cannot be read: ${messageOf(error)}`,
      { cause: error, param: path },
    );
  }
}

function refused(path: string, what: string): SanctumError {
  return new SanctumError('manifest_refused', `${path} ${what}.`, { param: path });
}
