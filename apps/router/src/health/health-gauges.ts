import type { BudgetStanding } from '@sanctum/routing';
import type { Metrics } from '@sanctum/service-kit';
import type { Backend } from '../upstream/upstream.js';
import type { HealthRegistry } from './health-registry.js';
import type { UrlHealth } from './url-health.js';

type UrlLabel = 'backend' | 'url_index';

interface UrlSample {
  readonly labels: { readonly backend: string; readonly url_index: number };
  readonly value: number;
}

interface BackendSample {
  readonly labels: { readonly backend: string };
  readonly value: number;
}

/** Gauges of what the registry knows, read when metrics are scraped; one series per URL. */
export function exposeHealth(
  metrics: Metrics,
  registry: HealthRegistry,
  backends: () => Iterable<Backend>,
): void {
  const perUrl = (value: (url: UrlHealth) => number | undefined): UrlSample[] =>
    [...backends()].flatMap((backend) =>
      registry.of(backend).urls.flatMap((url, index) => {
        const sample = value(url);
        const labels = { backend: backend.name, url_index: index };
        return sample === undefined ? [] : [{ labels, value: sample }];
      }),
    );
  metrics.gauge<UrlLabel>({
    name: 'breaker_state',
    help: 'The worst breaker of a URL: 0 closed, 1 a probe is due or under way, 2 open.',
    labels: ['backend', 'url_index'],
    readAll: () => perUrl((url) => worstBreaker(url, registry.now())),
  });
  metrics.gauge<UrlLabel>({
    name: 'backend_latency_ema_seconds',
    help: 'Moving average of the wait for the first content of an answer.',
    labels: ['backend', 'url_index'],
    readAll: () => perUrl(({ latency }) => latency?.emaS),
  });
  metrics.gauge<UrlLabel>({
    name: 'backend_inflight_requests',
    help: 'Requests under way at a URL.',
    labels: ['backend', 'url_index'],
    readAll: () => perUrl(({ inFlight }) => inFlight),
  });
  const perBudget = (value: (budget: BudgetStanding) => number): BackendSample[] =>
    [...backends()].flatMap((backend) => {
      const { scope } = registry.of(backend);
      const budget = registry.budgets.standing(scope, registry.now());
      const labels = { backend: backend.name };
      return budget === undefined ? [] : [{ labels, value: value(budget) }];
    });
  metrics.gauge<'backend'>({
    name: 'budget_remaining_tokens',
    help: 'Completion tokens a backend may still serve today; only of backends with a cap.',
    labels: ['backend'],
    readAll: () => perBudget(({ left }) => left),
  });
  metrics.gauge<'backend'>({
    name: 'budget_cap_tokens',
    help: 'Completion tokens a backend may serve in a day; only of backends with a cap.',
    labels: ['backend'],
    readAll: () => perBudget(({ cap }) => cap),
  });
}

function worstBreaker({ breakers }: UrlHealth, nowMs: number): number {
  let worst = 0;
  for (const [model, state] of breakers.entries) {
    if (state.kind === 'closed') continue;
    const isOpen = state.kind === 'open' && breakers.standing(model, nowMs) === 'open';
    worst = Math.max(worst, isOpen ? 2 : 1);
  }
  return worst;
}
