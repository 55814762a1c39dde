import type { BackendSection, HomePaths, RouterSection, UpstreamSection } from '@sanctum/catalog';
import { isLoopbackHost } from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import { prepareModel, type AttemptTimeouts } from '@sanctum/routing';
import { joinWrites } from '@sanctum/service-kit';
import { buildConnector, Pool } from 'undici';
import { resilienceOf } from '../health/resilience.js';
import type { RouterLimits } from '../limits.js';
import { resolveUpstreamTls, type UpstreamTls } from './upstream-tls.js';
import type { Backend, Transport, Upstream } from './upstream.js';

export interface ResolveOptions {
  readonly home: HomePaths;
  readonly limits: RouterLimits;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told once per visible downgrade. */
  readonly warn: (message: string) => void;
}

/** Used where neither the URL nor its backend says otherwise. */
export const DEFAULT_TIMEOUTS = {
  connectMs: 5_000,
  firstByteMs: 60_000,
  /** A cold fallback may load a model first. */
  lastFirstByteMs: 120_000,
  idleMs: 60_000,
  totalMs: 600_000,
} as const;

/**
 * Backends with connection pools, in declared order. Throws `config_invalid` for a key variable
 * that is not set, and `certificate_invalid` for a named certificate that is unusable.
 */
export async function resolveBackends(
  section: RouterSection,
  options: ResolveOptions,
): Promise<Backend[]> {
  const backends: Backend[] = [];
  try {
    for (const [name, backend] of Object.entries(section.backends)) {
      const resolved = await resolveBackend(name, backend, options);
      backends.push({ ...resolved, resilience: resilienceOf(section, backend) });
    }
    return backends;
  } catch (error) {
    await closeBackends(backends);
    throw error;
  }
}

/** Drops every upstream connection; requests under way fail. */
export async function closeBackends(backends: readonly Backend[]): Promise<void> {
  const pools = backends.flatMap(({ upstreams }) => upstreams.map(({ pool }) => pool));
  await Promise.all(pools.map((pool) => pool.destroy()));
}

async function resolveBackend(
  name: string,
  section: BackendSection,
  options: ResolveOptions,
): Promise<Omit<Backend, 'resilience'>> {
  const entries: UpstreamSection[] = [
    { url: section.url },
    ...section.fallback_urls.map((entry) => (typeof entry === 'string' ? { url: entry } : entry)),
  ];
  const upstreams: Upstream[] = [];
  for (const [urlIndex, entry] of entries.entries()) {
    const place = { name, urlIndex, isLast: urlIndex === entries.length - 1 };
    upstreams.push(await resolveUpstream({ place, section, entry }, options));
  }
  const [primary, ...fallbacks] = upstreams;
  if (primary === undefined) throw new SanctumError('internal', 'A backend has at least one URL.');
  return {
    name,
    description: section.description,
    models: section.models,
    stripsThinking: section.strip_thinking === true,
    upstreams: [primary, ...fallbacks],
    policy: {
      urls: upstreams.map(({ timeouts }) => timeouts),
      totalMs: milliseconds(section.timeouts?.total_s) ?? DEFAULT_TIMEOUTS.totalMs,
    },
  };
}

interface UpstreamDeclaration {
  readonly place: { readonly name: string; readonly urlIndex: number; readonly isLast: boolean };
  readonly section: BackendSection;
  readonly entry: UpstreamSection;
}

async function resolveUpstream(
  declaration: UpstreamDeclaration,
  options: ResolveOptions,
): Promise<Upstream> {
  const { place, section, entry } = declaration;
  const url = new URL(entry.url);
  const tls = await resolveUpstreamTls(url, entry.tls ?? section.tls, options.home);
  if (tls.warning !== undefined) options.warn(tls.warning);
  const keyName = entry.api_key_env === undefined ? section.api_key_env : entry.api_key_env;
  const authorization = readKey(keyName ?? undefined, { place, options });
  const timeouts = timeoutsOf(declaration);
  const defaultModel = entry.default_model ?? section.default_model;
  return {
    backend: place.name,
    urlIndex: place.urlIndex,
    url: entry.url,
    basePath: url.pathname.replace(/\/+$/, ''),
    pool: openPool(url, { tls, timeouts, limits: options.limits }),
    transport: transportOf(url, tls, authorization),
    authorization,
    dialects: new Set(entry.dialects ?? section.dialects ?? ['chat']),
    defaultModel: defaultModel === undefined ? undefined : prepareModel(defaultModel),
    timeouts,
  };
}

function openPool(
  url: URL,
  { tls, timeouts, limits }: { tls: UpstreamTls; timeouts: AttemptTimeouts; limits: RouterLimits },
): Pool {
  return new Pool(url.origin, {
    connections: limits.upstreamConnectionsMax,
    pipelining: 1,
    // The router's own timers decide what a stall is.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: joiningConnector({ timeout: timeouts.connectMs, ...tls.options }),
  });
}

function joiningConnector(options: buildConnector.BuildOptions): buildConnector.connector {
  const connect = buildConnector(options);
  return (target, connected) => {
    connect(target, (...result) => {
      if (result[0] === null) joinWrites(result[1]);
      connected(...result);
    });
  };
}

function timeoutsOf({ place, section, entry }: UpstreamDeclaration): AttemptTimeouts {
  const own = entry.timeouts ?? {};
  const shared = section.timeouts ?? {};
  const firstByteS = own.first_byte_s ?? shared.first_byte_s;
  const firstByteDefaultMs = place.isLast
    ? DEFAULT_TIMEOUTS.lastFirstByteMs
    : DEFAULT_TIMEOUTS.firstByteMs;
  return {
    connectMs: milliseconds(own.connect_s ?? shared.connect_s) ?? DEFAULT_TIMEOUTS.connectMs,
    firstByteMs: milliseconds(firstByteS) ?? firstByteDefaultMs,
    isFirstByteSet: firstByteS !== undefined,
    idleMs: milliseconds(own.idle_s ?? shared.idle_s) ?? DEFAULT_TIMEOUTS.idleMs,
  };
}

function readKey(
  variable: string | undefined,
  { place, options }: { place: UpstreamDeclaration['place']; options: ResolveOptions },
): string | undefined {
  if (variable === undefined) return undefined;
  const key = options.environment[variable]?.trim();
  if (key !== undefined && /^[\x21-\x7e]+$/.test(key)) return `Bearer ${key}`;
  const where = place.urlIndex === 0 ? '' : `, fallback URL ${place.urlIndex}`;
  throw new SanctumError(
    'config_invalid',
    `services.router.backends.${place.name}${where}: api_key_env names $${variable}, which is ` +
      `${key === undefined || key === '' ? 'not set' : 'no usable header value'}; ` +
      'set it in the environment of the router, for example through its launch wrapper.',
    { param: 'api_key_env' },
  );
}

function transportOf(url: URL, tls: UpstreamTls, authorization: string | undefined): Transport {
  if (tls.clientCertificate) return 'mtls';
  if (authorization !== undefined) return 'bearer';
  if (url.protocol === 'https:') return 'tls';
  return isLoopbackHost(url.hostname.replace(/^\[|\]$/g, '')) ? 'plain-loopback' : 'plain';
}

function milliseconds(valueS: number | undefined): number | undefined {
  return valueS === undefined ? undefined : Math.round(valueS * 1_000);
}
