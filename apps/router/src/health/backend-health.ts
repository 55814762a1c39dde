import { orderUrls, type BudgetScope } from '@sanctum/routing';
import type { Backend, Upstream } from '../upstream/upstream.js';
import type { UrlHealth } from './url-health.js';

/** A backend with what is known of its URLs, in the order of its URLs. */
export class BackendHealth {
  readonly backend: Backend;
  readonly urls: readonly UrlHealth[];
  readonly scope: BudgetScope;

  constructor(backend: Backend, urls: readonly UrlHealth[]) {
    this.backend = backend;
    this.urls = urls;
    this.scope = `backend:${backend.name}`;
  }

  /** URLs worth trying for a client's model, by index, in order; empty when every one is open. */
  order(model: string | undefined, nowMs: number): readonly number[] {
    return orderUrls(
      this.urls.map((url, index) => url.standing(this.upstreamModel(index, model), nowMs)),
    );
  }

  /** Whether a request would find a URL without an open breaker. */
  isReachable(model: string | undefined, nowMs: number): boolean {
    return this.urls.some((url, index) => {
      const standing = url.standing(this.upstreamModel(index, model), nowMs);
      return standing === 'usable' || standing === 'cooling';
    });
  }

  /** Models for which every URL has an open breaker. */
  unreachableModels(nowMs: number): string[] {
    const models = new Set(this.urls.flatMap(({ breakers }) => [...breakers.entries.keys()]));
    return [...models].filter((model) =>
      this.urls.every((url) => ['open', 'last_resort'].includes(url.standing(model, nowMs))),
    );
  }

  /** Milliseconds until the first of its open breakers lets a probe pass. */
  nextProbeMs(model: string | undefined, nowMs: number): number {
    const { openMs } = this.backend.resilience.breaker;
    const waits = this.urls.map((url, index) => {
      const state = url.breakers.stateOf(this.upstreamModel(index, model));
      if (state.kind === 'closed') return 0;
      const sinceMs = state.kind === 'open' ? state.sinceMs : state.probeMs;
      return Math.max(0, sinceMs + openMs - nowMs);
    });
    return Math.min(...waits);
  }

  /** The name under which this URL knows the model. */
  upstreamModel(urlIndex: number, model: string | undefined): string {
    const upstream: Upstream | undefined = this.backend.upstreams[urlIndex];
    return upstream?.defaultModel?.name ?? model ?? '';
  }
}
