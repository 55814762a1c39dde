import { dirname, join } from 'node:path';
import type { EngineSection } from './instance-schema.js';

export interface ModelTrustFiles {
  readonly manifest: string;
  readonly signature: string;
  readonly publicKeys: readonly string[];
}

/**
 * The manifest, its signature and the trusted keys of the engine's model: those instance.yaml
 * names, else `<model>.manifest.sha256`, `….sig` and `manifest-pubkey.ed25519` beside the folder.
 */
export function modelTrustFiles(
  engine: Pick<EngineSection, 'model' | 'manifest'>,
): ModelTrustFiles {
  const { file, signature, public_keys: keys } = engine.manifest;
  const manifest = file ?? `${engine.model.replace(/\/+$/, '')}.manifest.sha256`;
  return {
    manifest,
    signature: signature ?? `${manifest}.sig`,
    publicKeys: keys.length > 0 ? keys : [join(dirname(engine.model), 'manifest-pubkey.ed25519')],
  };
}
