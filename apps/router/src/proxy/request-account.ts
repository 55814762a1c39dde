import type { RouteRule } from '@sanctum/routing';
import { answeredBy, requestRecord, type AnsweredBy } from '../audit/request-audit.js';
import type { RequestHealth } from '../health/request-health.js';
import type { RouterMetrics } from '../metrics.js';
import type { RequestTrace } from '../tracing/request-trace.js';
import type { Upstream } from '../upstream/upstream.js';
import type { AnswerHeaders } from './answer-head.js';
import type { ExchangeStart } from './exchange-start.js';
import type { PlannedRequest } from './plan-request.js';
import type { ProxyContext } from './proxy-context.js';

/** What a request has to say to metrics and audit; said once, after its answer is on the wire. */
export class RequestAccount {
  #readMs = 0;
  #firstContentMs = 0;
  #backend = '';
  #rule: RouteRule | undefined;
  #answer: AnsweredBy | undefined;
  readonly #beganMs = performance.now();
  readonly #trace: RequestTrace | undefined;

  constructor(trace?: RequestTrace) {
    this.#trace = trace;
  }

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

  /** A URL is asked with these headers, a flat list of names and values. */
  asks(upstream: Upstream, headers: string[]): void {
    this.#trace?.asks(upstream, headers);
  }

  /** The URL at hand will be asked again in a moment. */
  waits(): void {
    this.#trace?.waits();
  }

  contentSent(urlIndex: number, headers: AnswerHeaders): void {
    this.#firstContentMs = performance.now();
    this.#answer = answeredBy(urlIndex, headers);
  }

  settle(context: Pick<ProxyContext, 'metrics' | 'audit'>, end: SettledRequest): void {
    this.#measure(context.metrics, end);
    const { start, plan, route, health, wasFinished } = end;
    const settled = {
      requestId: start.requestId,
      caller: start.caller,
      plan,
      route,
      health,
      wasFinished,
      status: end.status === 'cancelled' ? undefined : start.response.statusCode,
      answer: this.#answer,
      elapsedMs: performance.now() - this.#beganMs,
    };
    context.audit?.(requestRecord(settled));
    this.#trace?.end(settled, {
      method: start.request.method,
      firstContentMs: this.#answer && this.#firstContentMs - this.#readMs,
    });
  }

  #measure(metrics: RouterMetrics, end: SettledRequest): void {
    const { route, status, wasFinished, health } = end;
    metrics.requests.inc({ route, status });
    if (this.#rule === undefined) return;
    const backend = this.#backend;
    metrics.decisions.inc({ rule: this.#rule, backend });
    const upstreamMs = health === undefined ? 0 : sayAttempts(metrics, backend, health);
    if (this.#firstContentMs > 0) {
      metrics.firstContent.observe({ backend }, (this.#firstContentMs - this.#readMs) / 1_000);
    }
    if (wasFinished) {
      const spentMs = performance.now() - this.#readMs - upstreamMs;
      metrics.overhead.observe({}, Math.max(0, spentMs) / 1_000);
    }
  }
}

/** Says what became of each attempt; returns how long they took together. */
function sayAttempts(metrics: RouterMetrics, backend: string, health: RequestHealth): number {
  let upstreamMs = 0;
  for (const { outcome, waitedMs, class: outcomeClass, finding } of health.attempts) {
    upstreamMs += waitedMs;
    const label = finding === undefined ? outcome.kind : 'quality_issue';
    metrics.backendRequests.inc({ backend, outcome: label, class: outcomeClass });
    metrics.backendDuration.observe({ backend }, waitedMs / 1_000);
    if (finding !== undefined) metrics.findings.inc({ backend, finding });
  }
  const { promptTokens, completionTokens } = health;
  if (promptTokens !== undefined) metrics.tokensIn.inc({ backend }, promptTokens);
  if (completionTokens > 0) metrics.tokensOut.inc({ backend }, completionTokens);
  return upstreamMs;
}

interface SettledRequest {
  readonly route: string;
  readonly status: string;
  readonly wasFinished: boolean;
  /** Undefined when no backend was chosen. */
  readonly health: RequestHealth | undefined;
  readonly start: ExchangeStart;
  readonly plan: PlannedRequest | undefined;
}
