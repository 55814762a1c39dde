import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readLines, verifyChains } from '@sanctum/audit';
import { homePaths, type HomePaths } from '@sanctum/catalog';
import { composeManifest, keyIdOf, signManifestFile, TrustState } from '@sanctum/manifest';
import { EngineProcess } from './testing/engine-process.js';
import { sealModel, type SealedModel } from './testing/sealed-model.js';

let root: string;
let home: HomePaths;
let model: SealedModel;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-engine-rollback-'));
  home = homePaths(join(root, 'home'));
  model = await sealModel(join(root, 'models'));
});

afterEach(() => rmSync(root, { recursive: true }));

async function seal(version: number): Promise<void> {
  const { dir, manifest } = model;
  writeFileSync(manifest, await composeManifest(dir, { model: 'padawan', version }));
  const privateKey = join(root, 'models', 'manifest.key');
  signManifestFile({ manifest, signature: `${manifest}.sig`, privateKey });
}

async function refusal(): Promise<string> {
  const engine = EngineProcess.spawn(model.flags, { SANCTUM_HOME: home.home });
  expect((await engine.exited).code).toBe(1);
  return engine.stderr;
}

async function events(): Promise<string[]> {
  const found: string[] = [];
  for await (const { event } of readLines(join(home.audit, 'engine'))) found.push(event);
  return found;
}

describe('an engine that has served version 2', () => {
  it('says so in its audit, refuses version 1, and notices that its memory is gone', async () => {
    await seal(2);
    const engine = await EngineProcess.start(model.flags, { SANCTUM_HOME: home.home });
    engine.child.kill('SIGTERM');
    expect((await engine.exited).code).toBe(0);
    expect(await events()).toEqual(['model_verified', 'model_served']);
    const keyId = keyIdOf(readFileSync(model.publicKey));
    expect(TrustState.open(home).served('padawan')?.versions).toEqual({ [keyId]: 2 });

    await seal(1);
    expect(await refusal()).toMatch(/is version 1 of padawan; this machine has served version 2/);
    rmSync(home.manifestTrustFile);
    expect(await refusal()).toMatch(/manifest-trust\.json is gone/);
    rmSync(home.manifestTrustKey);
    expect(await refusal()).toMatch(/The audit says that this machine served a model on/);
    expect(await events()).toEqual([
      ...['model_verified', 'model_served'],
      ...['model_refused', 'model_refused', 'model_refused'],
    ]);
    expect((await verifyChains(home.audit)).map(({ broken }) => broken)).toEqual([undefined]);
  });
});
