import {
  modelTrustFiles,
  type EngineSection,
  type HomePaths,
  type Instance,
} from '@sanctum/catalog';
import {
  openVerified,
  readSignedManifest,
  TrustState,
  type HashProgress,
  type ManifestHeader,
} from '@sanctum/manifest';
import { basename } from 'node:path';

export interface ModelSummary {
  readonly id: string;
  /** SHA-256 of the manifest. */
  readonly digest: string;
}

export interface ProvenModel extends ModelSummary {
  readonly files: number;
  readonly bytes: number;
  readonly keyId: string;
  /** Why somebody should look at it although it may be served. */
  readonly alerts: readonly string[];
}

/**
 * Checks signature, every hash and what was served here before, and closes the model again. For
 * whoever asks; an engine proves the files it maps by itself.
 *
 * @throws SanctumError `manifest_refused` naming the file at fault
 */
export async function proveModel(
  engine: EngineSection,
  options: { readonly paths: HomePaths; readonly onProgress?: (progress: HashProgress) => void },
): Promise<ProvenModel> {
  const { paths, onProgress } = options;
  const proven = await openVerified({
    dir: engine.model,
    ...modelTrustFiles(engine),
    requireHeader: engine.manifest.require_header,
    trust: TrustState.open(paths),
    ...(onProgress && { onProgress }),
  });
  try {
    return {
      id: modelId(engine, proven.header),
      digest: proven.digest,
      files: proven.files.length,
      bytes: proven.files.reduce((sum, { size }) => sum + size, 0),
      keyId: proven.keyId,
      alerts: proven.alerts.map(({ message }) => message),
    };
  } finally {
    proven.close();
  }
}

/**
 * Name and digest by the signed manifest alone: no file of the model is read.
 *
 * @throws SanctumError `manifest_refused`
 */
export function readModelSummary(engine: EngineSection): ModelSummary {
  const { manifest, digest } = readSignedManifest(modelTrustFiles(engine));
  return { id: modelId(engine, manifest.header), digest };
}

/** The same, or null where there is none that is trusted. */
export function summariseModel(instance: Instance): ModelSummary | null {
  const { engine } = instance.services;
  if (engine === undefined) {
    return null;
  }
  try {
    return readModelSummary(engine);
  } catch {
    return null;
  }
}

function modelId(engine: EngineSection, header: ManifestHeader): string {
  return engine.model_name ?? header.model ?? basename(engine.model);
}
