import type { Finish } from '@sanctum/generation';
import type { Metrics } from '@sanctum/service-kit';
import type { WorkerHost } from '../host/worker-host.js';

/** How one request ended. Streamed and plain answers are recorded alike. */
export interface InferenceOutcome {
  readonly stopReason: 'stop' | 'length' | 'error' | 'cancelled';
  readonly stream: boolean;
  readonly finish: Finish | undefined;
}

export interface HttpOutcome {
  readonly route: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
}

const LATENCY_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const RATE_BUCKETS = [1, 2, 5, 10, 20, 30, 50, 75, 100, 200, 500, 1000];

/** Everything under `sanctum_mlx_` that is this service's own. */
export class EngineMetrics {
  readonly #requests;
  readonly #promptTokens;
  readonly #completionTokens;
  readonly #cachedTokens;
  readonly #firstToken;
  readonly #interToken;
  readonly #tokensPerSecond;
  readonly #queueWait;
  readonly #httpRequests;
  readonly #httpDuration;
  readonly #httpInflight;
  readonly #startup;

  constructor(metrics: Metrics, host: WorkerHost) {
    this.#requests = metrics.counter({
      name: 'inference_requests_total',
      help: 'Inference requests that ended, by how.',
      labels: ['stop_reason', 'stream'],
    });
    this.#promptTokens = counter(metrics, 'inference_prompt_tokens_total', 'Tokens of prompts.');
    this.#completionTokens = counter(
      metrics,
      'inference_completion_tokens_total',
      'Tokens of answers.',
    );
    this.#cachedTokens = counter(
      metrics,
      'inference_cached_tokens_total',
      'Tokens of prompts that were not computed again.',
    );
    this.#firstToken = histogram(metrics, 'time_to_first_token_seconds', 'Request to first token.');
    this.#interToken = histogram(metrics, 'inter_token_seconds', 'Mean pause between tokens.');
    this.#queueWait = histogram(metrics, 'queue_wait_seconds', 'Waiting before the first step.');
    this.#tokensPerSecond = metrics.histogram({
      name: 'tokens_per_second',
      help: 'Tokens of one answer after its first, per second.',
      buckets: RATE_BUCKETS,
    });
    this.#httpRequests = metrics.counter({
      name: 'http_requests_total',
      help: 'HTTP requests that were answered.',
      labels: ['route', 'method', 'status'],
    });
    this.#httpDuration = metrics.histogram({
      name: 'http_request_duration_seconds',
      help: 'First header to end of answer.',
      labels: ['route'],
      buckets: LATENCY_BUCKETS_S,
    });
    this.#httpInflight = metrics.gauge({ name: 'http_inflight', help: 'HTTP requests now.' });
    this.#startup = metrics.gauge({
      name: 'startup_seconds',
      help: 'What start-up took, by phase.',
      labels: ['phase'],
    });
    registerGauges(metrics, host);
    const restarts = counter(metrics, 'worker_restarts_total', 'Model workers that died.');
    host.onRestart(() => restarts.inc({}));
  }

  recordStartup(phase: string, elapsedMs: number): void {
    this.#startup.set({ phase }, elapsedMs / 1000);
  }

  recordInference({ stopReason, stream, finish }: InferenceOutcome): void {
    this.#requests.inc({ stop_reason: stopReason, stream: String(stream) });
    if (finish === undefined) return;
    this.#promptTokens.inc({}, finish.promptTokens);
    this.#completionTokens.inc({}, finish.completionTokens);
    this.#cachedTokens.inc({}, finish.cachedTokens);
    this.#firstToken.observe({}, finish.firstTokenMs / 1000);
    this.#queueWait.observe({}, finish.queueMs / 1000);
    const seconds = (finish.totalMs - finish.firstTokenMs) / 1000;
    const later = finish.completionTokens - 1;
    if (later < 1 || seconds <= 0) return;
    this.#interToken.observe({}, seconds / later);
    this.#tokensPerSecond.observe({}, later / seconds);
  }

  httpStarted(): void {
    this.#httpInflight.inc();
  }

  httpEnded({ route, method, status, seconds }: HttpOutcome): void {
    this.#httpInflight.dec();
    this.#httpRequests.inc({ route, method, status: String(status) });
    this.#httpDuration.observe({ route }, seconds);
  }
}

function counter(metrics: Metrics, name: string, help: string) {
  return metrics.counter({ name, help });
}

function histogram(metrics: Metrics, name: string, help: string) {
  return metrics.histogram({ name, help, buckets: LATENCY_BUCKETS_S });
}

function registerGauges(metrics: Metrics, host: WorkerHost): void {
  const gauges: readonly (readonly [string, string, () => number])[] = [
    ['model_loaded', '1 while a worker serves the model.', () => Number(host.state === 'ready')],
    ['open_requests', 'Requests that wait for an end.', () => host.open],
    ['queue_depth', 'Requests that wait for their first step.', () => host.stats?.queued ?? 0],
    ['running_requests', 'Requests that are being computed.', () => host.stats?.running ?? 0],
    ['cache_bytes', 'Bytes reserved for caches.', () => host.stats?.cacheBytes ?? 0],
    ['step_seconds', 'The last model step.', () => (host.stats?.stepMs ?? 0) / 1000],
  ];
  for (const [name, help, read] of gauges) metrics.gauge({ name, help, read });
}
