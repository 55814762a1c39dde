import { basename } from 'node:path';
import type { HomePaths, Instance } from '@sanctum/catalog';
import { isLocalHost, loopbackOf } from '@sanctum/contracts';
import { DEFAULT_RESTART, type Probe, type ServiceSpec } from '@sanctum/supervision';
import { FALLBACK_SERVICE, type FallbackProgram } from './fallback.js';

const NATS_STARTUP_MS = 20_000;
/** A cold start loads the model. */
const FALLBACK_STARTUP_MS = 180_000;
/** A large model is hashed and mapped first. */
const ENGINE_STARTUP_MS = 600_000;
const ROUTER_STARTUP_MS = 60_000;
/** Longer than the services' own drain deadlines, which decide. */
const STOP_MARGIN_MS = 5_000;
/** What the services take where instance.yaml says nothing. */
const DRAIN_DEFAULT_S = { engine: 10, router: 30, fallback: 10 };

/**
 * What a request allocates dies with it. Collected early it also lets go of its socket buffers: the
 * engine's main process stays below 115 MB where it grew beyond 150, at the same rate. Not for the
 * router: it answers so many requests that collecting would take half of its time.
 */
const YOUNG_GENERATION = '--max-semi-space-size=1';

/** The variable the engine's bearer token travels in, as `api_key_env` names it. */
export const COUNCIL_API_KEY = 'COUNCIL_API_KEY';

export interface SpecOptions {
  readonly instance: Instance;
  readonly paths: HomePaths;
  /** Absolute path of the node that runs the services. */
  readonly node: string;
  readonly bundles: { readonly engine: string; readonly router: string };
  readonly natsServer: string;
  /** Absent where the fallback is not to run. */
  readonly fallback?: FallbackProgram | undefined;
  readonly inherited: Readonly<Record<string, string>>;
  /** Absent where nothing takes it. */
  readonly councilToken: string | undefined;
}

/** What the supervisor is to run for an instance: its enabled services, and nothing else. */
export function serviceSpecs(options: SpecOptions): readonly ServiceSpec[] {
  return [
    natsSpec(options),
    engineSpec(options),
    fallbackSpec(options),
    routerSpec(options),
  ].filter((spec) => spec !== undefined);
}

/** Origins clients use, by service name. */
export function serviceUrls(instance: Instance): Readonly<Record<string, string>> {
  const { nats, engine, router, fallback } = instance.services;
  return {
    ...(fallback?.enabled === true && {
      [FALLBACK_SERVICE]: origin('http', fallback.host, fallback.port),
    }),
    ...(nats?.enabled === true && { nats: origin('tls', nats.host, nats.port) }),
    ...(engine?.enabled === true && {
      engine: origin('https', loopbackOf(engine.listeners.tls.hosts), engine.listeners.tls.port),
    }),
    ...(router?.enabled === true && {
      router: origin('http', loopbackOf([router.host]), router.port),
    }),
  };
}

function natsSpec(options: SpecOptions): ServiceSpec | undefined {
  const { nats } = options.instance.services;
  if (nats?.enabled !== true) {
    return undefined;
  }
  return {
    ...common(options),
    name: 'nats',
    command: [options.natsServer, '--config', options.paths.natsConfig],
    requires: [],
    readiness: { type: 'http', url: `${origin('http', '127.0.0.1', nats.monitor_port)}/healthz` },
    startupTimeoutMs: NATS_STARTUP_MS,
    stopTimeoutMs: STOP_MARGIN_MS,
    url: serviceUrls(options.instance)['nats'] ?? '',
  };
}

function engineSpec(options: SpecOptions): ServiceSpec | undefined {
  const { engine } = options.instance.services;
  const url = serviceUrls(options.instance)['engine'];
  if (engine?.enabled !== true || url === undefined) {
    return undefined;
  }
  return {
    ...common(options),
    name: 'engine',
    command: [options.node, YOUNG_GENERATION, options.bundles.engine],
    requires: present(options.instance, ['nats']),
    readiness: engineProbe(url, options.paths),
    startupTimeoutMs: ENGINE_STARTUP_MS,
    stopTimeoutMs: stopTimeout(engine.limits.drain_s ?? DRAIN_DEFAULT_S.engine),
    url,
  };
}

function fallbackSpec(options: SpecOptions): ServiceSpec | undefined {
  const { engine, fallback } = options.instance.services;
  const url = serviceUrls(options.instance)[FALLBACK_SERVICE];
  const model = fallback?.model ?? engine?.model;
  const { fallback: program } = options;
  if (!fallback || !program || url === undefined || model === undefined) return undefined;
  const caps = ['--cache-limit-mb', String(fallback.cache_limit_mb)];
  if (fallback.memory_limit_mb !== undefined) {
    caps.push('--memory-limit-mb', String(fallback.memory_limit_mb));
  }
  return {
    ...common(options),
    name: FALLBACK_SERVICE,
    command: [
      program.python,
      program.script,
      ...['--model', model, '--model-name', engine?.model_name ?? basename(model)],
      ...['--host', fallback.host, '--port', String(fallback.port)],
      ...caps,
    ],
    requires: [],
    readiness: { type: 'http', url: `${url}/health` },
    startupTimeoutMs: FALLBACK_STARTUP_MS,
    stopTimeoutMs: stopTimeout(DRAIN_DEFAULT_S.fallback),
    url,
  };
}

function routerSpec(options: SpecOptions): ServiceSpec | undefined {
  const { router } = options.instance.services;
  const url = serviceUrls(options.instance)['router'];
  if (router?.enabled !== true || url === undefined) {
    return undefined;
  }
  const { env, ...rest } = common(options);
  const { councilToken: token } = options;
  return {
    ...rest,
    name: 'router',
    command: [options.node, options.bundles.router, '--router-config', options.paths.instanceFile],
    // The one place the token enters an environment: the router sends it upstream.
    env: { ...(token !== undefined && { [COUNCIL_API_KEY]: token }), ...env },
    requires: present(options.instance, ['nats', 'engine']),
    // Not `/health`, which asks what its default backend is up to: that is no reason to restart it.
    readiness: { type: 'http', url: `${url}/health/live` },
    startupTimeoutMs: ROUTER_STARTUP_MS,
    stopTimeoutMs: stopTimeout(router.limits.drain_s ?? DRAIN_DEFAULT_S.router),
    url,
  };
}

/** The engine answers health over mTLS only to a certificate of this instance. */
export function engineProbe(url: string, paths: HomePaths): Probe {
  return {
    type: 'http',
    url: `${url}/health/ready`,
    tls: { ca: paths.ca.cert, ...paths.client('sanctumctl') },
  };
}

function common(options: SpecOptions): Pick<ServiceSpec, 'cwd' | 'env' | 'restart'> {
  return {
    cwd: options.paths.home,
    env: { ...options.inherited, SANCTUM_HOME: options.paths.home, NODE_ENV: 'production' },
    restart: DEFAULT_RESTART,
  };
}

function present(instance: Instance, names: readonly ('nats' | 'engine')[]): readonly string[] {
  return names.filter((name) => instance.services[name]?.enabled === true);
}

function stopTimeout(drainS: number): number {
  return drainS * 1_000 + STOP_MARGIN_MS;
}

/** A listener on every address is reached over loopback. */
function origin(scheme: string, host: string, port: number): string {
  const name = isLocalHost(host) ? loopbackOf([host]) : host;
  return `${scheme}://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
