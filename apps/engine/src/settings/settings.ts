import { existsSync } from 'node:fs';
import path from 'node:path';
import {
  homePaths,
  loadInstance,
  modelTrustFiles,
  type EngineSection,
  type HomePaths,
  type Instance,
  type ModelTrustFiles,
} from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import type { SchedulerLimits } from '@sanctum/generation';
import type { TlsPaths } from '@sanctum/identity';
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
const DEFAULTS = { port: 1337, tlsPort: 1338, bodyMb: 4, requestReadS: 60, drainS: 10 } as const;
const LOOPBACK_NAMES = new Set(['127.0.0.1', '::1', 'localhost', '0.0.0.0', '::']);

/** Throws `config_invalid` and `unsupported`, before anything is opened. */
export function resolveSettings(flags: EngineFlags, environment: Environment): EngineSettings {
  refuseLaterFeatures(flags);
  const { home, instance } = readHome(flags, environment);
  const section = instance?.services.engine;
  const plain = plainListener(flags, section);
  const tls = tlsListener(flags, section, home);
  if (plain === undefined && tls === undefined) {
    throw new SanctumError(
      'config_invalid',
      'There is nothing to listen on: the plain listener is off and there is no server ' +
        'certificate for the mTLS listener. Make one with "sanctumctl certs init".',
    );
  }
  return {
    instance: instance?.instance.name ?? 'local',
    home,
    model: modelSettings(flags, section),
    plain,
    tls,
    auth: authSettings(flags, section, { home, environment }),
    kernels: kernelOptions(flags, section, environment),
    limits: engineLimits(section),
    bus: busSettings(instance, home),
  };
}

/** With `--model` and no SANCTUM_HOME the engine stands alone: no home is looked for. */
function readHome(
  flags: EngineFlags,
  environment: Environment,
): { home: HomePaths | undefined; instance: Instance | undefined } {
  const folder = environment.home ?? (flags.model === undefined ? '.sanctum' : undefined);
  if (folder === undefined) return { home: undefined, instance: undefined };
  const home = homePaths(folder);
  const optional = flags.model !== undefined && !existsSync(home.instanceFile);
  return { home, instance: optional ? undefined : loadInstance(home.instanceFile) };
}

function modelSettings(flags: EngineFlags, section: EngineSection | undefined): ModelSettings {
  const dir = flags.model === undefined ? section?.model : path.resolve(flags.model);
  if (dir === undefined) {
    throw new SanctumError(
      'config_invalid',
      'No model is named: give --model, or services.engine.model in instance.yaml.',
      { param: '--model' },
    );
  }
  // A manifest belongs to its model: that of instance.yaml says nothing about another --model.
  const own = flags.model === undefined || dir === section?.model ? section : undefined;
  const file = flags.manifest ?? own?.manifest.file;
  const signature = flags.manifestSig ?? own?.manifest.signature;
  return {
    dir,
    name: flags.modelName ?? own?.model_name,
    requireHeader: section?.manifest.require_header ?? false,
    trust: modelTrustFiles({
      model: dir,
      manifest: {
        ...(file === undefined ? {} : { file }),
        ...(signature === undefined ? {} : { signature }),
        public_keys: [...(flags.manifestPubkey ?? section?.manifest.public_keys ?? [])],
        require_header: false,
      },
    }),
  };
}

function plainListener(
  flags: EngineFlags,
  section: EngineSection | undefined,
): ListenerSettings | undefined {
  const configured = section?.listeners.plain;
  if (!flags.plain || configured?.enabled === false) return undefined;
  return {
    hosts: withLoopback(flags.host ?? configured?.hosts ?? ['127.0.0.1']),
    port: flags.port ?? configured?.port ?? DEFAULTS.port,
  };
}

function tlsListener(
  flags: EngineFlags,
  section: EngineSection | undefined,
  home: HomePaths | undefined,
): TlsListenerSettings | undefined {
  const configured = section?.listeners.tls;
  const ca = configured?.ca ?? home?.ca.cert;
  const cert = configured?.cert ?? home?.server.cert;
  const key = configured?.key ?? home?.server.key;
  const asked = flags.tlsPort !== undefined || flags.tlsHost !== undefined;
  const named = asked || configured?.cert !== undefined || configured?.key !== undefined;
  if (ca === undefined || cert === undefined || key === undefined) {
    if (!asked) return undefined;
    throw new SanctumError(
      'config_invalid',
      'The mTLS listener needs certificates: set SANCTUM_HOME, or name them in instance.yaml.',
      { param: '--tls-port' },
    );
  }
  if (!named && !existsSync(cert)) return undefined;
  return {
    hosts: withLoopback(flags.tlsHost ?? configured?.hosts ?? ['127.0.0.1']),
    port: flags.tlsPort ?? configured?.port ?? DEFAULTS.tlsPort,
    files: { ca, cert, key },
  };
}

/** The operator on the machine itself is never locked out. */
function withLoopback(hosts: readonly string[]): readonly string[] {
  return hosts.some((host) => LOOPBACK_NAMES.has(host)) ? hosts : ['127.0.0.1', ...hosts];
}

function authSettings(
  flags: EngineFlags,
  section: EngineSection | undefined,
  { home, environment }: { home: HomePaths | undefined; environment: Environment },
): AuthSettings {
  const named = flags.authTokenFile ?? section?.auth_token_file;
  const found = home?.councilToken;
  const path = named ?? found;
  return {
    disabled: environment.authDisabled,
    tokenFile: path === undefined ? undefined : { path, named: named !== undefined },
  };
}

function kernelOptions(
  flags: EngineFlags,
  section: EngineSection | undefined,
  { isa }: Environment,
): KernelOptions {
  const library = flags.library ?? section?.library;
  const threads = flags.threads ?? section?.threads;
  const keyValues = keyValuesOf(flags.kvValues) ?? section?.kv_values;
  const limits = section?.limits;
  return {
    mode: flags.computeMode ?? section?.compute_mode ?? 'exact',
    ...(library === undefined ? {} : { library }),
    ...(threads === undefined ? {} : { threads }),
    ...(isa === undefined ? {} : { isa }),
    ...(keyValues === undefined ? {} : { keyValues }),
    ...bytes('cacheLimitBytes', flags.metalCacheLimitMb ?? limits?.metal_cache_limit_mb),
    ...bytes('memoryLimitBytes', flags.metalMemoryLimitMb ?? limits?.metal_memory_limit_mb),
    ...bytes('wiredLimitBytes', flags.metalWiredLimitMb ?? limits?.metal_wired_limit_mb),
  };
}

function bytes<Name extends string>(
  name: Name,
  megabytes: number | undefined,
): Partial<Record<Name, number>> {
  const field: Partial<Record<Name, number>> = {};
  if (megabytes !== undefined) field[name] = megabytes * MEGABYTE;
  return field;
}

function engineLimits(section: EngineSection | undefined): EngineLimits {
  const limits = section?.limits;
  const scheduler = {
    queuedMax: limits?.queue,
    runningMax: limits?.sequences,
    stepTokensMax: limits?.batch_tokens,
    contextTokensMax: limits?.context_tokens,
  };
  return {
    scheduler: Object.fromEntries(
      Object.entries(scheduler).filter(([, value]) => value !== undefined),
    ),
    completionTokensMax: limits?.completion_tokens,
    bodyBytesMax: (limits?.body_mb ?? DEFAULTS.bodyMb) * MEGABYTE,
    requestReadMs: (limits?.request_read_s ?? DEFAULTS.requestReadS) * 1000,
    drainMs: (limits?.drain_s ?? DEFAULTS.drainS) * 1000,
  };
}

function busSettings(
  instance: Instance | undefined,
  home: HomePaths | undefined,
): BusSettings | undefined {
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

function keyValuesOf(flag: EngineFlags['kvValues']): 'f32' | 'f16' | undefined {
  return flag === 'f32' || flag === 'f16' ? flag : undefined;
}

function refuseLaterFeatures(flags: EngineFlags): void {
  if (flags.adapterPath !== undefined) {
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
