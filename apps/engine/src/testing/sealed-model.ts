import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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

/** What no test waits to the end of: an answer of half a minute, if `widenContext` was applied. */
export const ENDLESS = { stream: true, ignore_eos: true, max_tokens: 140_000 };

/**
 * Gives a copy of padawan room for long answers. Its own context is full within a third of a
 * second, which is less than a busy machine may keep a test from looking.
 */
export function widenContext(dir: string): void {
  const file = join(dir, 'config.json');
  const config = readFileSync(file, 'utf8');
  writeFileSync(file, config.replace(/("max_position_embeddings": )\d+/, '$150000'));
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

/** A home whose engine serves padawan with room for long answers, on a free port, within limits. */
export async function limitedHome(home: string, limits: object): Promise<void> {
  const { dir, publicKey } = await sealModel(join(home, 'models'), widenContext);
  const engine = {
    model: dir,
    manifest: { public_keys: [publicKey] },
    listeners: { plain: { port: 0 } },
    limits,
  };
  const instance = { instance: { name: 'test' }, services: { engine } };
  writeFileSync(join(home, 'instance.yaml'), JSON.stringify(instance));
}
