import { existsSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import {
  loadInstance,
  modelTrustFiles,
  writeFileAtomic,
  type ModelTrustFiles,
} from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import {
  composeManifest,
  keyIdOf,
  openVerified,
  publicKeyOf,
  readSignedManifest,
  readSigningKey,
  signManifestFile,
  TrustState,
  writeSigningKeys,
  type ManifestHeader,
} from '@sanctum/manifest';
import type { Site } from '../instance/site.js';
import type { StepProgress, Terminal } from '../terminal/terminal.js';

/** The engine's model, those under the home's `models`, and those the checkout ships. */
export function modelList(
  site: Site,
  terminal: Terminal,
  options: { readonly json: boolean },
): void {
  const engine = existsSync(site.paths.instanceFile)
    ? loadInstance(site.paths.instanceFile).services.engine
    : undefined;
  const folders = [
    ...(engine === undefined ? [] : [engine.model]),
    ...modelFolders(site.paths.models),
    ...modelFolders(join(site.root, 'deploy', 'models')),
  ];
  const rows = [...new Set(folders)].map((folder) => {
    const trust = trustOf(site, folder, {});
    return {
      name: basename(folder),
      folder,
      served: folder === engine?.model,
      signed: signatureHolds(trust),
    };
  });
  if (options.json) {
    terminal.say(JSON.stringify(rows, null, 2));
    return;
  }
  terminal.table([
    ['model', 'engine serves it', 'signature', 'folder'],
    ...rows.map(({ name, served, signed, folder }) => [
      name,
      served ? 'yes' : 'no',
      signed ? 'trusted' : 'not trusted',
      folder,
    ]),
  ]);
}

export interface ManifestRequest {
  readonly folder: string;
  readonly out: string | undefined;
  readonly version: number | undefined;
  readonly expires: Date | undefined;
  /** Private key whose id is written into the header. */
  readonly key: string | undefined;
}

/** Hashes every file of a model and writes the manifest beside its folder. */
export async function modelManifest(terminal: Terminal, request: ManifestRequest): Promise<void> {
  const folder = resolve(request.folder);
  const out = resolve(request.out ?? `${folder}.manifest.sha256`);
  const header: ManifestHeader = {
    model: basename(folder),
    version: request.version ?? 1,
    ...(request.expires && { expires: request.expires }),
    ...(request.key !== undefined && { keyId: keyIdOf(publicKeyOf(readSigningKey(request.key))) }),
  };
  await terminal.step('hashing', async (progress) => {
    const text = await composeManifest(folder, header, { onProgress: percent(progress) });
    writeFileAtomic(out, text, 0o644);
    return { value: undefined, detail: out };
  });
}

/** Makes `<name>.key` (0600, keep it elsewhere) and `<name>.pub` (32 raw bytes, to be trusted). */
export function modelKeygen(terminal: Terminal, name: string): void {
  const paths = { privateKey: resolve(`${name}.key`), publicKey: resolve(`${name}.pub`) };
  const [existing] = Object.values(paths).filter((path) => existsSync(path));
  if (existing !== undefined) {
    throw new SanctumError(
      'io',
      `${existing} exists; a key is never overwritten. Choose another name.`,
    );
  }
  writeSigningKeys(paths);
  terminal.say(
    `private key  ${paths.privateKey}  (keep it off this machine, and out of every repository)`,
  );
  terminal.say(
    `public key   ${paths.publicKey}  (name it under services.engine.manifest.public_keys)`,
  );
}

/** Signs a manifest; the signature lands beside it. */
export function modelSign(
  terminal: Terminal,
  request: { readonly manifest: string; readonly key: string },
): void {
  const manifest = resolve(request.manifest);
  const signature = `${manifest}.sig`;
  const publicKey = signManifestFile({ manifest, signature, privateKey: resolve(request.key) });
  terminal.say(`signed  ${signature}  (key ${keyIdOf(publicKey)})`);
}

export interface VerifyRequest {
  /** The engine's model when left out. */
  readonly folder: string | undefined;
  readonly manifest?: string | undefined;
  readonly signature?: string | undefined;
  readonly publicKeys?: readonly string[] | undefined;
}

/** Signature and every hash, as the engine does before it opens a port. */
export async function modelVerify(
  site: Site,
  terminal: Terminal,
  request: VerifyRequest,
): Promise<void> {
  const folder = request.folder === undefined ? servedModel(site) : resolve(request.folder);
  await terminal.step(`verifying ${folder}`, async (progress) => {
    const model = await openVerified({
      dir: folder,
      ...trustOf(site, folder, request),
      trust: TrustState.open(site.paths),
      onProgress: percent(progress),
    });
    model.close();
    for (const { message } of model.alerts) terminal.say(`! ${message}`);
    const detail = `${model.files.length} files, key ${model.keyId}, digest ${model.digest}`;
    return { value: undefined, detail };
  });
}

function servedModel(site: Site): string {
  const { engine } = loadInstance(site.paths.instanceFile).services;
  if (engine === undefined) {
    throw new SanctumError('config_invalid', 'instance.yaml names no engine; name a model folder.');
  }
  return engine.model;
}

/** What is named wins, then what instance.yaml says of this model, then what lies beside it. */
export function trustOf(
  site: Site,
  folder: string,
  request: Omit<VerifyRequest, 'folder'>,
): ModelTrustFiles {
  const engine = existsSync(site.paths.instanceFile)
    ? loadInstance(site.paths.instanceFile).services.engine
    : undefined;
  const keys = request.publicKeys ?? engine?.manifest.public_keys ?? [];
  const named =
    engine?.model === folder ? engine.manifest : { public_keys: [], require_header: false };
  return modelTrustFiles({
    model: folder,
    manifest: {
      ...named,
      public_keys: [...keys],
      ...(request.manifest !== undefined && { file: resolve(request.manifest) }),
      ...(request.signature !== undefined && { signature: resolve(request.signature) }),
    },
  });
}

function signatureHolds(trust: ModelTrustFiles): boolean {
  try {
    readSignedManifest(trust);
    return true;
  } catch {
    return false;
  }
}

function modelFolders(folder: string): readonly string[] {
  return existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true })
        .filter(
          (entry) => entry.isDirectory() && existsSync(join(folder, entry.name, 'config.json')),
        )
        .map((entry) => join(folder, entry.name))
    : [];
}

function percent(progress: StepProgress) {
  return ({ hashedBytes, totalBytes }: { hashedBytes: number; totalBytes: number }): void =>
    progress.update(`${Math.floor((100 * hashedBytes) / totalBytes)} %`);
}
