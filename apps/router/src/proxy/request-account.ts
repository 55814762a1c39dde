import { classifyOutcome, type AttemptOutcome, type RouteRule } from '@sanctum/routing';
import type { RouterMetrics } from '../metrics.js';

interface EndedAttempt {
  readonly outcome: AttemptOutcome;
  readonly waitedMs: number;
}

/** What a request has to say to the metrics; said once, after its answer is on the wire. */
export class RequestAccount {
  #readMs = 0;
  #firstContentMs = 0;
  #backend = '';
  #rule: RouteRule | undefined;
  readonly #attempts: EndedAttempt[] = [];

  /** When the request was read completely; 0 before. */
  get readMs(): number {
    return this.#readMs;
  }

  read(): void {
    this.#readMs = performance.now();
  }

  decided(rule: RouteRule, backend: string): void {
    this.#rule = rule;
    this.#backend = backend;
  }

  attemptEnded(outcome: AttemptOutcome, waitedMs: number): void {
    this.#attempts.push({ outcome, waitedMs });
  }

  contentSent(): void {
    this.#firstContentMs = performance.now();
  }

  settle(
    metrics: RouterMetrics,
    end: { route: string; status: string; wasFinished: boolean },
  ): void {
    const { route, status, wasFinished } = end;
    metrics.requests.inc({ route, status });
    if (this.#rule === undefined) return;
    const backend = this.#backend;
    metrics.decisions.inc({ rule: this.#rule, backend });
    let upstreamMs = 0;
    for (const { outcome, waitedMs } of this.#attempts) {
      upstreamMs += waitedMs;
      const outcomeClass = classifyOutcome(outcome);
      metrics.backendRequests.inc({ backend, outcome: outcome.kind, class: outcomeClass });
      metrics.backendDuration.observe({ backend }, waitedMs / 1_000);
    }
    if (this.#firstContentMs > 0) {
      metrics.firstContent.observe({ backend }, (this.#firstContentMs - this.#readMs) / 1_000);
    }
    if (wasFinished) {
      const spentMs = performance.now() - this.#readMs - upstreamMs;
      metrics.overhead.observe(Math.max(0, spentMs) / 1_000);
    }
  }
}
