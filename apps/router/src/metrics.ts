import type { Counter, Histogram, Metrics } from '@sanctum/service-kit';

const DURATION_S = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const OVERHEAD_S = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1];

/** `sanctum_router_*`. Labels come from configuration and closed sets, never from clients. */
export class RouterMetrics {
  readonly requests: Counter<'route' | 'status'>;
  readonly refusals: Counter<'reason'>;
  readonly backendRequests: Counter<'backend' | 'outcome' | 'class'>;
  readonly decisions: Counter<'rule' | 'backend'>;
  readonly fallbacks: Counter<'backend'>;
  readonly backendDuration: Histogram<'backend'>;
  readonly firstContent: Histogram<'backend'>;
  readonly overhead: Histogram;
  readonly findings: Counter<'backend' | 'finding'>;
  readonly tokensIn: Counter<'backend'>;
  readonly tokensOut: Counter<'backend'>;

  constructor(metrics: Metrics, inFlight: () => number) {
    this.requests = metrics.counter({
      name: 'http_requests_total',
      help: 'Proxied requests by route and status class.',
      labels: ['route', 'status'],
    });
    this.refusals = metrics.counter({
      name: 'refused_requests_total',
      help: 'Requests turned away at the door, unread, by the code of the error they got.',
      labels: ['reason'],
    });
    this.backendRequests = metrics.counter({
      name: 'backend_requests_total',
      help: 'Attempts at upstream URLs by how they ended and what that says about the target.',
      labels: ['backend', 'outcome', 'class'],
    });
    this.decisions = metrics.counter({
      name: 'routing_decisions_total',
      help: 'Routing decisions by the rule that made them.',
      labels: ['rule', 'backend'],
    });
    this.fallbacks = metrics.counter({
      name: 'backend_fallback_total',
      help: 'Answers that came from a fallback URL.',
      labels: ['backend'],
    });
    this.backendDuration = metrics.histogram({
      name: 'backend_duration_seconds',
      help: 'From dispatch to the end of the answer of one attempt.',
      labels: ['backend'],
      buckets: DURATION_S,
    });
    this.firstContent = metrics.histogram({
      name: 'time_to_first_content_seconds',
      help: 'From the end of the request to the first content sent to the client.',
      labels: ['backend'],
      buckets: DURATION_S,
    });
    this.overhead = metrics.histogram({
      name: 'overhead_seconds',
      help: 'Time spent in the router: total minus reading the request and waiting for upstreams.',
      buckets: OVERHEAD_S,
    });
    this.findings = metrics.counter({
      name: 'answer_findings_total',
      help: 'Answers in which a detector found something, broken or suspicious.',
      labels: ['backend', 'finding'],
    });
    this.tokensIn = metrics.counter({
      name: 'backend_tokens_in_total',
      help: 'Prompt tokens, as far as backends tell them.',
      labels: ['backend'],
    });
    this.tokensOut = metrics.counter({
      name: 'backend_tokens_out_total',
      help: 'Completion tokens: as the backend tells them, else estimated.',
      labels: ['backend'],
    });
    metrics.gauge({
      name: 'inflight_requests',
      help: 'Proxied requests under way.',
      read: inFlight,
    });
  }
}

/** The label of a path: the interpreted ones by name, everything else as one. */
export function routeLabel(path: string): string {
  switch (path) {
    case '/chat/completions':
    case '/completions':
    case '/embeddings':
    case '/responses':
    case '/messages':
      return path.slice(1);
    default:
      return 'other';
  }
}
