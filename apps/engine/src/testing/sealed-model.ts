import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { composeManifest, signManifestFile, writeSigningKeys } from '@sanctum/manifest';

const PADAWAN = fileURLToPath(new URL('../../../../deploy/models/padawan', import.meta.url));

/** A copy of padawan under a manifest signed for the test. */
export interface SealedModel {
  readonly dir: string;
  readonly manifest: string;
  readonly publicKey: string;
  /** Serves the copy on a free port. */
  readonly flags: readonly string[];
}

/** Copies padawan into `root`, lets `change` alter the copy, then signs what is there. */
export async function sealModel(
  root: string,
  change: (dir: string) => void = () => undefined,
): Promise<SealedModel> {
  const dir = join(root, 'padawan');
  mkdirSync(root, { recursive: true });
  cpSync(PADAWAN, dir, { recursive: true });
  change(dir);
  const manifest = `${dir}.manifest.sha256`;
  const signature = `${manifest}.sig`;
  const publicKey = join(root, 'manifest-pubkey.ed25519');
  const privateKey = join(root, 'manifest.key');
  writeSigningKeys({ publicKey, privateKey });
  writeFileSync(manifest, await composeManifest(dir, { model: 'padawan', version: 1 }));
  signManifestFile({ manifest, signature, privateKey });
  const flags = ['--model', dir, '--manifest-pubkey', publicKey, '--port', '0'];
  return { dir, manifest, publicKey, flags };
}
