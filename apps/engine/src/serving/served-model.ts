import path from 'node:path';
import type { VerifiedModel } from '@sanctum/manifest';
import type { LibraryInfo } from '../protocol.js';
import type { ModelSettings } from '../settings/settings.js';

/** What is served, as answers name it. */
export interface ServedModel {
  readonly id: string;
  /** SHA-256 of the manifest, hexadecimal. */
  readonly digest: string;
  /** Seconds since 1970 at which this process proved it. */
  readonly created: number;
}

/** Digits of the digest in a fingerprint: enough to tell models apart, short enough to read. */
const FINGERPRINT_DIGITS = 16;

/** Named by the operator, else by the signed manifest, else by its folder. */
export function servedModel(settings: ModelSettings, model: VerifiedModel): ServedModel {
  return {
    id: settings.name ?? model.header.model ?? path.basename(settings.dir),
    digest: model.digest,
    created: Math.floor(Date.now() / 1000),
  };
}

/** `<model digest>+<adapter>+<library>`: answers with one fingerprint come from the same bits. */
export function systemFingerprint(model: ServedModel, library: LibraryInfo | undefined): string {
  return [model.digest.slice(0, FINGERPRINT_DIGITS), 'none', libraryId(library)].join('+');
}

/** Headers that say with every answer what produced it. */
export function provenanceHeaders(
  model: ServedModel,
  library: LibraryInfo | undefined,
  identity: string,
): Record<string, string> {
  return {
    'x-sanctum-model-digest': model.digest,
    'x-sanctum-adapter': 'none',
    'x-sanctum-engine': libraryId(library),
    'x-sanctum-identity': identity,
  };
}

function libraryId(library: LibraryInfo | undefined): string {
  if (library === undefined) return 'loading';
  const { name, version, isa, mode } = library;
  return `${name}-${version}-${isa}-${mode}`;
}
