import type { Availability } from '@sanctum/routing';
import { describeBackendHealth, describeUrlHealth } from '../health/describe-health.js';
import type { HealthRegistry } from '../health/health-registry.js';
import type { Backend } from '../upstream/upstream.js';
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
      first_byte_s: upstream.timeouts.firstByteMs / 1_000,
      idle_s: upstream.timeouts.idleMs / 1_000,
      last_seen: seen.state?.urls[upstream.urlIndex]?.detail ?? 'not asked',
      ...urlHealth(upstream.urlIndex),
    })),
  };
}
