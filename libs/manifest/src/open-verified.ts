import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { SanctumError } from '@sanctum/errors';
import type { HashProgress } from './hash-files.js';
import { assertNotRevoked, readKeyRing, type KeyRing } from './key-ring.js';
import { parseManifest, type Manifest, type ManifestHeader } from './manifest-text.js';
import { assertUnchanged, closeAll, type OpenFile } from './model-files.js';
import { proveFiles } from './prove-files.js';
import { readException } from './rollback-exception.js';
import { keyIdOf, verifySignature } from './signature.js';
import { readSmallFile } from './small-file.js';
import { judgeCandidate, type Candidate, type TrustAlert } from './trust-policy.js';
import type { TrustState } from './trust-state.js';

export interface ManifestFiles {
  /** Path of the manifest. */
  readonly manifest: string;
  /** Path of its detached signature. */
  readonly signature: string;
  /** Files of trusted public keys, or folders of them; any one may have signed. */
  readonly publicKeys: readonly string[];
}

export interface OpenVerifiedOptions extends ManifestFiles {
  /** The model's folder. */
  readonly dir: string;
  /** Refuse a manifest without model, version and key id. */
  readonly requireHeader?: boolean;
  /** What this machine has served; without it every load counts as the first one. */
  readonly trust?: TrustState;
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
  /** What somebody should know although it may be served. */
  readonly alerts: readonly TrustAlert[];
  /** In the manifest's order. Map these descriptors; never open a file again by name. */
  readonly files: readonly OpenFile[];
  /** Throws `manifest_refused` when a file was written to since it was opened. */
  assertUnchanged(): void;
  /** Notes in `trust` that it is being served, which later loads are judged by. */
  recordServed(): void;
  close(): void;
}

export interface SignedManifest {
  readonly manifest: Manifest;
  readonly digest: string;
  readonly keyId: string;
  readonly ring: KeyRing;
}

/**
 * Proves a model and keeps it open: signature over the manifest, then the manifest's syntax and
 * header, then that the folder holds the listed files and nothing else, then every hash, then that
 * no file was written to meanwhile. Each file is opened once; a file swapped by rename afterwards
 * has no effect. Throws `manifest_refused` naming the file at fault, with everything closed.
 */
export async function openVerified(options: OpenVerifiedOptions): Promise<VerifiedModel> {
  const signed = readSignedManifest(options);
  const { manifest, digest, keyId } = signed;
  assertHeader(manifest.header, { ...options, keyId });
  const candidate = candidateOf(signed, options);
  const alerts = judged(candidate, signed.ring, options);
  const files = await proveFiles(manifest.entries, { ...options, source: options.manifest });
  return {
    digest,
    header: manifest.header,
    keyId,
    alerts,
    files: files.map(({ name, fd, size }) => ({ name, fd, size })),
    assertUnchanged: () => assertUnchanged(files),
    recordServed: () => options.trust?.recordServed(candidate),
    close: () => closeAll(files),
  };
}

/** Signature first, then syntax: unsigned text is never parsed. Throws `manifest_refused`. */
export function readSignedManifest(paths: ManifestFiles): SignedManifest {
  const bytes = readSmallFile(paths.manifest, 'manifest');
  const signature = readSmallFile(paths.signature, 'signature');
  const ring = readKeyRing(paths.publicKeys);
  const signer = verifySignature({
    manifest: bytes,
    signature,
    keys: [...ring.trusted, ...ring.revoked],
    source: paths.signature,
  });
  const keyId = keyIdOf(signer.bytes);
  assertNotRevoked(ring, keyId, paths.manifest);
  const manifest = parseManifest(bytes, paths.manifest);
  return { manifest, digest: createHash('sha256').update(bytes).digest('hex'), keyId, ring };
}

/** By its signed name, else by its folder's. */
function candidateOf(
  { manifest: { header }, digest, keyId }: SignedManifest,
  { dir, manifest: source }: OpenVerifiedOptions,
): Candidate {
  return { model: header.model ?? basename(dir), header, digest, keyId, source };
}

function judged(candidate: Candidate, ring: KeyRing, options: OpenVerifiedOptions): TrustAlert[] {
  return judgeCandidate(candidate, {
    served: options.trust?.served(candidate.model),
    trustedKeyIds: ring.trusted.map(({ bytes }) => keyIdOf(bytes)),
    exception: () => readException(options.manifest, ring),
    now: options.now ?? new Date(),
  });
}

function assertHeader(
  header: ManifestHeader,
  check: OpenVerifiedOptions & { readonly keyId: string },
): void {
  const { manifest: source, keyId } = check;
  const { model, version } = header;
  const complete = model !== undefined && version !== undefined && header.keyId !== undefined;
  if (check.requireHeader === true && !complete) {
    throw refused(source, 'lacks sanctum-model, sanctum-version or sanctum-key-id');
  }
  if (header.keyId !== undefined && header.keyId !== keyId) {
    throw refused(source, `names key ${header.keyId} but was signed by ${keyId}`);
  }
}

function refused(path: string, what: string): SanctumError {
  return new SanctumError('manifest_refused', `${path} ${what}.`, { param: path });
}
