import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import {
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
  type TextMapGetter,
  type TextMapSetter,
  type Tracer,
} from '@opentelemetry/api';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
} from '@opentelemetry/sdk-trace';
import { messageOf } from '@sanctum/errors';
import type { AuditedRequest } from '../audit/request-audit.js';
import type { RouterLog } from '../log.js';
import type { Upstream } from '../upstream/upstream.js';
import { ROUTER_VERSION } from '../version.js';
import { attemptEnd } from './attempt-span.js';
import type { SpanEnd } from './genai-names.js';
import type { MoreOfRequest, RequestTrace, Tracing } from './request-trace.js';
import { arrivalAttributes, requestEnd } from './request-span.js';
import type { SamplerSetting, TracingSettings } from './tracing-settings.js';

const BATCH_SPANS_MAX = 512;
const ATTRIBUTE_CHARS_MAX = 256;
const FLUSH_MS = 3_000;
/** A collector that is away is told of once in so long. */
const COMPLAIN_EVERY_MS = 60_000;

/** Sends spans to a collector. Reached through a dynamic import alone: most routers never load it. */
export function openTracing(settings: TracingSettings, log: RouterLog): Tracing {
  complainTo(log);
  const exporter = new OTLPTraceExporter({
    url: settings.url,
    headers: { ...settings.headers },
    timeoutMillis: settings.exportTimeoutMs,
  });
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: settings.queueSpansMax,
    maxExportBatchSize: Math.min(BATCH_SPANS_MAX, settings.queueSpansMax),
    scheduledDelayMillis: settings.sendDelayMs,
    exportTimeoutMillis: settings.exportTimeoutMs,
  });
  const service = { 'service.version': ROUTER_VERSION, ...settings.resource };
  const provider = new TracerProvider({
    resource: defaultResource().merge(resourceFromAttributes(service)),
    sampler: samplerOf(settings.sampler),
    spanLimits: { attributeValueLengthLimit: ATTRIBUTE_CHARS_MAX },
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer('sanctum-router', ROUTER_VERSION);
  return {
    begin: (request) => new SpansOfRequest(tracer, request),
    close: async () => {
      const flushed = provider.shutdown().catch((error: unknown) => {
        log.warn({ reason: messageOf(error) }, 'traces_lost');
      });
      await Promise.race([flushed, delay(FLUSH_MS, undefined, { ref: false })]);
    },
  };
}

interface OpenAttempt {
  readonly span: Span;
  readonly upstream: Upstream;
  /** When the URL was asked last. */
  askedMs: number;
  waits: boolean;
}

class SpansOfRequest implements RequestTrace {
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #context: Context;
  readonly #attempts: OpenAttempt[] = [];

  constructor(tracer: Tracer, request: IncomingMessage) {
    const parent = PROPAGATOR.extract(ROOT_CONTEXT, request.headers, GETTER);
    const attributes = arrivalAttributes(request);
    this.#tracer = tracer;
    this.#span = tracer.startSpan(
      'request',
      { kind: SpanKind.SERVER, startTime: epochMs(), attributes },
      parent,
    );
    this.#context = trace.setSpan(parent, this.#span);
  }

  asks(upstream: Upstream, headers: string[]): void {
    const { span } = this.#attempt(upstream);
    withoutTraceContext(headers);
    PROPAGATOR.inject(trace.setSpan(this.#context, span), headers, SETTER);
  }

  waits(): void {
    const last = this.#attempts.at(-1);
    if (last !== undefined) last.waits = true;
  }

  end(audited: AuditedRequest, more: MoreOfRequest): void {
    const nowMs = epochMs();
    if (!this.#span.isRecording()) return;
    const request = { ...audited, ...more };
    this.#attempts.forEach(({ span, upstream, askedMs }, index) => {
      // Attempts are recorded in the order they were made; only the last may have been given up.
      const record = request.health?.attempts[index];
      const endMs = record === undefined ? nowMs : Math.min(nowMs, askedMs + record.waitedMs);
      finish(span, attemptEnd(request, { upstream, resent: index, record }), endMs);
    });
    finish(this.#span, requestEnd(request), nowMs);
  }

  #attempt(upstream: Upstream): OpenAttempt {
    const askedMs = epochMs();
    const last = this.#attempts.at(-1);
    if (last?.waits === true) {
      last.waits = false;
      last.askedMs = askedMs;
      return last;
    }
    const options = { kind: SpanKind.CLIENT, startTime: askedMs };
    const span = this.#tracer.startSpan('attempt', options, this.#context);
    const attempt = { span, upstream, askedMs, waits: false };
    this.#attempts.push(attempt);
    return attempt;
  }
}

const PROPAGATOR = new W3CTraceContextPropagator();
const GETTER: TextMapGetter<IncomingHttpHeaders> = {
  keys: (headers) => Object.keys(headers),
  get: (headers, name) => headers[name],
};
const SETTER: TextMapSetter<string[]> = {
  set: (headers, name, value) => headers.push(name, value),
};

function finish(span: Span, { name, attributes, failed }: SpanEnd, endMs: number): void {
  span.updateName(name);
  span.setAttributes(attributes);
  if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end(endMs);
}

/** What the client sent of it goes no further: the attempt is the upstream's parent. */
function withoutTraceContext(headers: string[]): void {
  for (let at = headers.length - 2; at >= 0; at -= 2) {
    const name = headers[at];
    if (name === 'traceparent' || name === 'tracestate') headers.splice(at, 2);
  }
}

function samplerOf({ parentBased, share }: SamplerSetting): Sampler {
  const root = share === 1 ? new AlwaysOnSampler() : new TraceIdRatioBasedSampler(share);
  return parentBased ? new ParentBasedSampler({ root }) : root;
}

/** The SDK reports process-wide; a collector that is away fails with every batch. */
function complainTo(log: RouterLog): void {
  let quietUntilMs = 0;
  const complain = (reason: string): void => {
    if (performance.now() < quietUntilMs) return;
    quietUntilMs = performance.now() + COMPLAIN_EVERY_MS;
    log.warn({ reason }, 'traces_not_exported');
  };
  setGlobalErrorHandler((error) => complain(messageOf(error)));
  const quiet = (): void => undefined;
  diag.setLogger(
    { error: complain, warn: complain, info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}

function epochMs(): number {
  return performance.timeOrigin + performance.now();
}
