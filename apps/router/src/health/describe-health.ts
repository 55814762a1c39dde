import type { BreakerState } from '@sanctum/routing';
import type { BackendHealth } from './backend-health.js';
import type { HealthRegistry } from './health-registry.js';
import type { Resilience } from './resilience.js';
import type { UrlHealth } from './url-health.js';

/** What `/v1/backends` shows of a backend's health, beside its URLs. */
export function describeBackendHealth(bound: BackendHealth, registry: HealthRegistry): object {
  const { resilience } = bound.backend;
  const budget = registry.budgets.standing(bound.scope, registry.now());
  return {
    unreachable_models: bound.unreachableModels(registry.now()),
    thresholds: describeThresholds(resilience),
    budget:
      budget === undefined
        ? null
        : {
            cap_tokens: budget.cap,
            used_tokens: budget.used,
            left_tokens: budget.left,
            resets_at: time(budget.resetsAtMs),
          },
  };
}

function describeThresholds(resilience: Resilience): object {
  const { breaker, coolDown, slowness, detectors, dailyCapTokens } = resilience;
  return {
    breaker_faults: breaker.faultsMax,
    breaker_open_s: breaker.openMs / 1_000,
    cool_down_default_s: coolDown.defaultMs / 1_000,
    cool_down_max_s: coolDown.maxMs / 1_000,
    slow_threshold_s: slowness.thresholdS ?? null,
    slow_trip_count: slowness.tripCount,
    repetition_chars: detectors.repetitionCharsMin,
    tiny_bytes: detectors.tinyBytes,
    daily_cap_completion_tokens: dailyCapTokens ?? null,
  };
}

/** What it shows of one URL. A breaker at rest is not listed. */
export function describeUrlHealth(
  { health, openMs }: { health: UrlHealth; openMs: number },
  nowMs: number,
): object {
  const { latency, lastError } = health;
  return {
    in_flight: health.inFlight,
    breakers: [...health.breakers.entries].map(([model, state]) => ({
      model,
      ...describeBreaker(state, openMs),
    })),
    cooling_until: health.isCooling(nowMs) ? time(health.coolUntilMs) : null,
    latency_ema_s: latency?.emaS ?? null,
    last_error:
      lastError === undefined ? null : { class: lastError.errorClass, at: time(lastError.atMs) },
  };
}

function describeBreaker(state: BreakerState, openMs: number): object {
  switch (state.kind) {
    case 'closed':
      return { state: 'closed', faults: state.faults };
    case 'open':
      return {
        state: 'open',
        since: time(state.sinceMs),
        probe_from: time(state.sinceMs + openMs),
        last_fault: state.lastFault,
      };
    case 'probing':
      return { state: 'probing', since: time(state.sinceMs), probe_since: time(state.probeMs) };
  }
}

function time(atMs: number): string {
  return new Date(atMs).toISOString();
}
