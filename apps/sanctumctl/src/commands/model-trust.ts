import { readFileSync, renameSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { loadInstance, modelTrustFiles, writeFileAtomic } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import {
  assertFolderHolds,
  exportBundle,
  formatManifest,
  importBundle,
  keyIdOf,
  openVerified,
  publicKeyOf,
  readKeyRing,
  readSignedManifest,
  readSigningKey,
  revokedName,
  signManifestFile,
  TrustState,
  writeException,
  type KeyRing,
} from '@sanctum/manifest';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';
import { auditOperator } from './audit.js';
import { trustOf } from './model.js';

export interface RollbackRequest {
  readonly manifest: string;
  readonly key: string;
  readonly reason: string;
  readonly days: number;
  readonly publicKeys: readonly string[] | undefined;
}

/** Signs the exception under which an older version may be served for some days. */
export async function modelRollback(
  site: Site,
  terminal: Terminal,
  request: RollbackRequest,
): Promise<void> {
  const manifest = resolve(request.manifest);
  const folder = manifest.replace(/\.manifest\.sha256$/, '');
  const trust = trustOf(site, folder, { manifest, publicKeys: request.publicKeys });
  const { manifest: parsed, digest, ring } = readSignedManifest(trust);
  const privateKey = readSigningKey(resolve(request.key));
  assertTrusted(ring, keyIdOf(publicKeyOf(privateKey)), request.key);
  const { model = basename(folder), version = 0 } = parsed.header;
  const subject = { model, version, digest, reason: request.reason };
  await auditOperator(site, 'rollback_permitted', { ...subject, days: request.days });
  const file = writeException({ manifest, subject, days: request.days, privateKey });
  terminal.say(`${model} version ${version} may be served for ${request.days} days: ${file}`);
  terminal.say('Restart the engine to serve it. Remove the file to end the exception.');
}

/** What was served here and which keys may sign; `reset` forgets what was served. */
export async function modelTrust(
  site: Site,
  terminal: Terminal,
  options: { readonly json: boolean; readonly reset: boolean },
): Promise<void> {
  if (options.reset) {
    await auditOperator(site, 'model_trust_reset', {});
    TrustState.startAnew(site.paths).save();
    terminal.say('Forgotten: the next manifest the engine serves counts as the first one.');
    return;
  }
  const models = TrustState.open(site.paths).models;
  const ring = ringOf(site);
  if (options.json) {
    const trusted = ring.trusted.map(({ source, bytes }) => ({ id: keyIdOf(bytes), source }));
    const revoked = ring.revoked.map(({ id, source, revokedOn }) => ({ id, source, revokedOn }));
    terminal.say(JSON.stringify({ models, keys: { trusted, revoked } }, null, 2));
    return;
  }
  terminal.table([
    ['model', 'key', 'highest version served', 'digests'],
    ...Object.entries(models).flatMap(([model, { versions, digests }]) =>
      Object.entries(versions).map(([keyId, version]) => [
        model,
        keyId,
        String(version),
        String(digests.length),
      ]),
    ),
  ]);
  terminal.say();
  terminal.table([
    ['key', 'may sign', 'file'],
    ...ring.trusted.map(({ source, bytes }) => [keyIdOf(bytes), 'yes', source]),
    ...ring.revoked.map(({ id, source, revokedOn }) => [id, `revoked ${revokedOn}`, source]),
  ]);
}

/** Archives a public key: what it signed is refused from now on. */
export async function modelRevoke(site: Site, terminal: Terminal, file: string): Promise<void> {
  const from = resolve(file);
  const { trusted } = readKeyRing([from]);
  const [key] = trusted;
  if (key === undefined) {
    throw new SanctumError('manifest_refused', `${from} is revoked already.`, { param: from });
  }
  const to = join(dirname(from), revokedName(from, new Date()));
  await auditOperator(site, 'model_signer_revoked', { key_id: keyIdOf(key.bytes), file: to });
  renameSync(from, to);
  terminal.say(`revoked  ${keyIdOf(key.bytes)}  ${to}`);
  terminal.say('Sign the manifests it had signed with a key that is trusted.');
}

export interface ExportRequest {
  readonly folder: string;
  /** PEM of an elliptic-curve private key. */
  readonly key: string;
  readonly out: string | undefined;
  readonly publicKeys: readonly string[] | undefined;
}

/** Proves the model, then signs the same hashes as an OpenSSF Model Signing bundle. */
export async function modelExport(
  site: Site,
  terminal: Terminal,
  request: ExportRequest,
): Promise<void> {
  const folder = resolve(request.folder);
  const out = resolve(request.out ?? `${folder}.oms.json`);
  const trust = trustOf(site, folder, { publicKeys: request.publicKeys });
  await terminal.step(`exporting ${folder}`, async () => {
    const state = TrustState.open(site.paths);
    const model = await openVerified({ dir: folder, ...trust, trust: state });
    model.close();
    const { entries } = readSignedManifest(trust).manifest;
    const pem = readFileSync(resolve(request.key), 'utf8');
    writeFileAtomic(out, exportBundle({ model: basename(folder), entries }, pem), 0o644);
    return { value: undefined, detail: out };
  });
}

export interface ImportRequest {
  readonly bundle: string;
  readonly folder: string;
  /** PEM of the elliptic-curve public key that signed the bundle. */
  readonly bundleKey: string;
  /** Our private key: what the bundle states is signed again as a manifest. */
  readonly key: string;
  readonly version: number | undefined;
}

/** Verifies a bundle and every file of the folder, then writes and signs a manifest for it. */
export async function modelImport(terminal: Terminal, request: ImportRequest): Promise<void> {
  const folder = resolve(request.folder);
  const source = resolve(request.bundle);
  const text = readFileSync(source, 'utf8');
  const bundleKey = readFileSync(resolve(request.bundleKey), 'utf8');
  const statement = importBundle(text, bundleKey, source);
  const privateKey = resolve(request.key);
  const header = {
    model: basename(folder),
    version: request.version ?? 1,
    keyId: keyIdOf(publicKeyOf(readSigningKey(privateKey))),
  };
  const manifest = `${folder}.manifest.sha256`;
  await terminal.step(`importing ${source}`, async () => {
    await assertFolderHolds(statement.entries, { dir: folder, source });
    writeFileAtomic(manifest, formatManifest({ header, entries: statement.entries }), 0o644);
    signManifestFile({ manifest, signature: `${manifest}.sig`, privateKey });
    return { value: undefined, detail: `${statement.entries.length} files, ${manifest}` };
  });
}

function ringOf(site: Site): KeyRing {
  const { engine } = loadInstance(site.paths.instanceFile).services;
  return engine === undefined
    ? { trusted: [], revoked: [] }
    : readKeyRing(modelTrustFiles(engine).publicKeys);
}

function assertTrusted(ring: KeyRing, keyId: string, file: string): void {
  if (ring.trusted.some(({ bytes }) => keyIdOf(bytes) === keyId)) return;
  throw new SanctumError(
    'manifest_refused',
    `${file} holds key ${keyId}, which is not trusted here: its exception would be refused.`,
    { param: file },
  );
}
