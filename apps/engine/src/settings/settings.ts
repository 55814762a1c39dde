import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  homePaths,
  loadInstance,
  modelTrustFiles,
  parseInstance,
  type EngineSection,
  type HomePaths,
  type Instance,
  type ModelTrustFiles,
} from '@sanctum/catalog';
import { withLoopback } from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import type { SchedulerLimits } from '@sanctum/generation';
import { describeCertificate, identityUri, type TlsPaths } from '@sanctum/identity';
import type { Environment } from '../env.js';
import type { KernelOptions } from '../protocol.js';
import type { EngineFlags } from './flags.js';

/** Everything the engine was told, from flags, instance.yaml and defaults, in that order. */
export interface EngineSettings {
  /** Trust domain of certificates. */
  readonly instance: string;
  readonly home: HomePaths | undefined;
  readonly model: ModelSettings;
  readonly plain: ListenerSettings | undefined;
  readonly tls: TlsListenerSettings | undefined;
  readonly auth: AuthSettings;
  readonly kernels: KernelOptions;
  readonly limits: EngineLimits;
  readonly bus: BusSettings | undefined;
  /** Who answers: the URI of the engine's own certificate, generation 1 without one. */
  readonly identity: string;
  /** Started by `node --watch`: what the worker imports is watched, too. */
  readonly watched: boolean;
}

export interface ModelSettings {
  readonly dir: string;
  /** Left out, the manifest's name counts, then the folder's. */
  readonly name: string | undefined;
  readonly trust: ModelTrustFiles;
  readonly requireHeader: boolean;
}

export interface ListenerSettings {
  readonly hosts: readonly string[];
  readonly port: number;
}

export interface TlsListenerSettings extends ListenerSettings {
  readonly files: TlsPaths;
}

export interface AuthSettings {
  readonly disabled: boolean;
  /** `named` must be readable; one found by convention counts when it is there. */
  readonly tokenFile: { readonly path: string; readonly named: boolean } | undefined;
}

export interface EngineLimits {
  readonly scheduler: Partial<SchedulerLimits>;
  /** Requests that one client may have open. */
  readonly perClientMax: number | undefined;
  readonly completionTokensMax: number | undefined;
  readonly bodyBytesMax: number;
  readonly requestReadMs: number;
  readonly drainMs: number;
}

export interface BusSettings {
  readonly url: string;
  readonly tls: TlsPaths;
  readonly spoolFile: string;
}

const MEGABYTE = 1024 * 1024;
const DEFAULTS = { bodyMb: 4, requestReadS: 60, drainS: 10 } as const;

/** The places settings come from. Flags win over the section. */
interface Sources {
  readonly flags: EngineFlags;
  readonly environment: Environment;
  readonly home: HomePaths | undefined;
  readonly instance: Instance | undefined;
  /** `services.engine`; with `--model` alone, its defaults. */
  readonly section: EngineSection;
}

/** Throws `config_invalid` and `unsupported`, before anything is opened. */
export function resolveSettings(flags: EngineFlags, environment: Environment): EngineSettings {
  const sources = readSources(flags, environment);
  refuseLaterFeatures(sources);
  const plain = plainListener(sources);
  const tls = tlsListener(sources);
  if (plain === undefined && tls === undefined) {
    throw new SanctumError(
      'config_invalid',
      'There is nothing to listen on: the plain listener is off and there is no server ' +
        'certificate for the mTLS listener. Make one with "sanctumctl certs init".',
    );
  }
  return {
    instance: sources.instance?.instance.name ?? STANDALONE,
    home: sources.home,
    model: modelSettings(sources),
    plain,
    tls,
    auth: authSettings(sources),
    kernels: { ...kernelOptions(sources), ...memoryLimits(sources) },
    limits: engineLimits(sources.section),
    bus: busSettings(sources),
    identity: ownIdentity(sources),
    watched: environment.watched,
  };
}

/** With `--model` and no SANCTUM_HOME the engine stands alone: no home is looked for. */
function readSources(flags: EngineFlags, environment: Environment): Sources {
  const folder = environment.home ?? (flags.model === undefined ? '.sanctum' : undefined);
  const home = folder === undefined ? undefined : homePaths(folder);
  const wanted = home !== undefined && (flags.model === undefined || existsSync(home.instanceFile));
  const instance = wanted ? loadInstance(home.instanceFile) : undefined;
  const section = instance?.services.engine ?? standaloneSection(flags);
  return { flags, environment, home, instance, section };
}

const STANDALONE = 'local';

function standaloneSection({ model }: EngineFlags): EngineSection {
  const named = model === undefined ? {} : { engine: { model: path.resolve(model) } };
  const file = JSON.stringify({ instance: { name: STANDALONE }, services: named });
  const section = parseInstance(file, path.resolve('instance.yaml')).services.engine;
  if (section !== undefined) return section;
  throw new SanctumError(
    'config_invalid',
    'No model is named: give --model, or services.engine.model in instance.yaml.',
    { param: '--model' },
  );
}

function modelSettings({ flags, section }: Sources): ModelSettings {
  const dir = flags.model === undefined ? section.model : path.resolve(flags.model);
  // A manifest belongs to its model: that of instance.yaml says nothing about another --model.
  const own = dir === section.model ? section.manifest : undefined;
  const manifest = {
    ...present({
      file: flags.manifest ?? own?.file,
      signature: flags.manifestSig ?? own?.signature,
    }),
    public_keys: [...(flags.manifestPubkey ?? section.manifest.public_keys)],
    require_header: section.manifest.require_header,
  };
  return {
    dir,
    name: flags.modelName ?? (own === undefined ? undefined : section.model_name),
    requireHeader: manifest.require_header,
    trust: modelTrustFiles({ model: dir, manifest }),
  };
}

function plainListener({ flags, section }: Sources): ListenerSettings | undefined {
  const { enabled, hosts, port } = section.listeners.plain;
  if (!flags.plain || !enabled) return undefined;
  return { hosts: withLoopback(flags.host ?? hosts), port: flags.port ?? port };
}

/** On when certificates are named or asked for, or were found where the home keeps them. */
function tlsListener({ flags, section, home }: Sources): TlsListenerSettings | undefined {
  const { hosts, port, ...named } = section.listeners.tls;
  const found = home === undefined ? {} : { ca: home.ca.cert, ...home.server };
  const { ca, cert, key } = { ...found, ...named };
  const asked = flags.tlsPort !== undefined || flags.tlsHost !== undefined;
  if (ca === undefined || cert === undefined || key === undefined) {
    if (!asked) return undefined;
    throw new SanctumError(
      'config_invalid',
      'The mTLS listener needs certificates: set SANCTUM_HOME, or name them in instance.yaml.',
      { param: '--tls-port' },
    );
  }
  if (!asked && named.cert === undefined && !existsSync(cert)) return undefined;
  return {
    hosts: withLoopback(flags.tlsHost ?? hosts),
    port: flags.tlsPort ?? port,
    files: { ca, cert, key },
  };
}

function authSettings({ flags, section, home, environment }: Sources): AuthSettings {
  const named = flags.authTokenFile ?? section.auth_token_file;
  const file = named ?? home?.councilToken;
  return {
    disabled: environment.authDisabled,
    tokenFile: file === undefined ? undefined : { path: file, named: named !== undefined },
  };
}

function kernelOptions({ flags, section, environment }: Sources): KernelOptions {
  const asked = flags.kvValues;
  return {
    mode: flags.computeMode ?? section.compute_mode,
    ...present({
      library: flags.library ?? section.library,
      threads: flags.threads ?? section.threads,
      isa: environment.isa,
      keyValues: asked === 'f32' || asked === 'f16' ? asked : section.kv_values,
    }),
  };
}

function memoryLimits({ flags, section }: Sources): Partial<KernelOptions> {
  const { limits } = section;
  return present({
    cacheLimitBytes: bytes(flags.metalCacheLimitMb ?? limits.metal_cache_limit_mb),
    memoryLimitBytes: bytes(flags.metalMemoryLimitMb ?? limits.metal_memory_limit_mb),
    wiredLimitBytes: bytes(flags.metalWiredLimitMb ?? limits.metal_wired_limit_mb),
  });
}

function engineLimits({ limits }: EngineSection): EngineLimits {
  return {
    scheduler: present({
      queuedMax: limits.queue,
      runningMax: limits.sequences,
      stepTokensMax: limits.batch_tokens,
      contextTokensMax: limits.context_tokens,
    }),
    perClientMax: limits.requests_per_client,
    completionTokensMax: limits.completion_tokens,
    bodyBytesMax: (limits.body_mb ?? DEFAULTS.bodyMb) * MEGABYTE,
    requestReadMs: (limits.request_read_s ?? DEFAULTS.requestReadS) * 1000,
    drainMs: (limits.drain_s ?? DEFAULTS.drainS) * 1000,
  };
}

function busSettings({ instance, home }: Sources): BusSettings | undefined {
  const nats = instance?.services.nats;
  if (nats?.enabled !== true || home === undefined) return undefined;
  const own = home.client('engine');
  if (!existsSync(own.cert)) return undefined;
  const host = nats.host.includes(':') ? `[${nats.host}]` : nats.host;
  return {
    url: `tls://${host}:${nats.port}`,
    tls: { ca: home.ca.cert, ...own },
    spoolFile: path.join(home.spool, 'engine.jsonl'),
  };
}

function ownIdentity({ instance, home }: Sources): string {
  const cert = home?.client('engine').cert;
  const issued =
    cert !== undefined && existsSync(cert)
      ? describeCertificate(readFileSync(cert, 'utf8'), cert).identity
      : undefined;
  const name = instance?.instance.name ?? STANDALONE;
  return identityUri(issued ?? { instance: name, name: 'engine', generation: 1 });
}

function bytes(megabytes: number | undefined): number | undefined {
  return megabytes === undefined ? undefined : megabytes * MEGABYTE;
}

type Present<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

/** The fields that have a value: an optional field is left out, never undefined. */
function present<T extends object>(fields: T): Present<T> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Present<T>;
}

function refuseLaterFeatures({ flags, section }: Sources): void {
  if ((flags.adapterPath ?? section.adapter_path) !== undefined) {
    throw new SanctumError('unsupported', '--adapter-path: LoRA adapters are not supported yet.', {
      param: '--adapter-path',
    });
  }
  if (flags.kvValues === '8' || flags.kvValues === '4') {
    throw new SanctumError(
      'unsupported',
      `--kv-values ${flags.kvValues}: quantised values are not supported yet; use f32 or f16.`,
      { param: '--kv-values' },
    );
  }
}
