import { firstByteWaitMs, startFailover, type Availability } from '@sanctum/routing';
import { describeBackendHealth, describeUrlHealth } from '../health/describe-health.js';
import type { HealthRegistry } from '../health/health-registry.js';
import type { Backend, Upstream } from '../upstream/upstream.js';
import type { BackendState } from './backend-probe.js';

/** One backend for `/v1/backends`: everything an operator may know, no credential. */
export function describeBackend(
  backend: Backend,
  seen: { availability: Availability; state: BackendState | undefined; health: HealthRegistry },
): object {
  const bound = seen.health.of(backend);
  const { openMs } = backend.resilience.breaker;
  const urlHealth = (index: number): object => {
    const health = bound.urls[index];
    return health === undefined ? {} : describeUrlHealth({ health, openMs }, seen.health.now());
  };
  return {
    name: backend.name,
    description: backend.description ?? null,
    models: backend.models,
    available: seen.availability.available,
    ...(seen.availability.reason === undefined ? {} : { reason: seen.availability.reason }),
    healthy: seen.state?.healthy ?? false,
    strip_thinking: backend.stripsThinking,
    total_s: backend.policy.totalMs / 1_000,
    ...describeBackendHealth(bound, seen.health),
    urls: backend.upstreams.map((upstream) => ({
      url: upstream.url,
      transport: upstream.transport,
      has_key: upstream.authorization !== undefined,
      default_model: upstream.defaultModel?.name ?? null,
      connect_s: upstream.timeouts.connectMs / 1_000,
      first_byte_s: firstByteS(backend, upstream, { stream: true }),
      first_byte_whole_s: firstByteS(backend, upstream, { stream: false }),
      idle_s: upstream.timeouts.idleMs / 1_000,
      last_seen: seen.state?.urls[upstream.urlIndex]?.detail ?? 'not asked',
      ...urlHealth(upstream.urlIndex),
    })),
  };
}

/** What a URL may take when its turn comes at once and those behind it could be asked as well. */
function firstByteS(
  { policy }: Backend,
  { urlIndex }: Upstream,
  { stream }: { stream: boolean },
): number {
  const order = policy.urls.map((_, index) => index).slice(urlIndex);
  const state = startFailover(policy, 0, order);
  if (state.kind !== 'trying') return 0;
  return Math.round(firstByteWaitMs(policy, state, { stream, nowMs: 0 })) / 1_000;
}
