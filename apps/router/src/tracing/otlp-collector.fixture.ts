import { EventEmitter, once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import protobuf from 'protobufjs';

/** A span as it arrived, with its attributes and those of its resource as plain values. */
export interface CollectedSpan {
  readonly name: string;
  readonly kind: 'server' | 'client' | 'other';
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly failed: boolean;
  readonly durationMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

/**
 * What the collector does with what it is sent: `held` waits for `release`, `never` leaves it without
 * an answer.
 */
type Behaviour = 'well' | 'status-400' | 'held' | 'never';

/** Takes OTLP over HTTP as a collector does: protobuf, read with the published schema. */
export class OtlpCollector {
  readonly spans: CollectedSpan[] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  readonly bodies: Buffer[] = [];
  behaviour: Behaviour = 'well';
  readonly #server: Server;
  readonly #events = new EventEmitter();
  readonly #held: (() => void)[] = [];

  private constructor() {
    this.#server = createServer((request, response) => {
      void buffer(request).then((body) => {
        this.headers.push({ ...request.headers, ':path': request.url });
        this.bodies.push(body);
        this.#answer(body, response);
        this.#events.emit('arrived');
      });
    });
  }

  #answer(body: Buffer, response: ServerResponse): void {
    switch (this.behaviour) {
      case 'well':
        this.spans.push(...spansOf(body));
        response.writeHead(200).end();
        return;
      case 'status-400':
        response.writeHead(400).end();
        return;
      case 'held':
        this.#held.push(() => this.#answer(body, response));
        return;
      case 'never':
        return;
    }
  }

  /** Answers well, from here on and what was held. */
  release(): void {
    this.behaviour = 'well';
    for (const answer of this.#held.splice(0)) answer();
  }

  static async start(): Promise<OtlpCollector> {
    const collector = new OtlpCollector();
    collector.#server.listen(0, '127.0.0.1');
    await once(collector.#server, 'listening');
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Waits until the request with this id has its span, and returns it with its attempts in order. */
  async request(id: string): Promise<{ server: CollectedSpan; attempts: CollectedSpan[] }> {
    const isOf = ({ attributes }: CollectedSpan) => attributes['sanctum.request_id'] === id;
    let server = this.spans.find(isOf);
    while (server === undefined) {
      await this.arrival();
      server = this.spans.find(isOf);
    }
    const parent = server.spanId;
    const attempts = this.spans.filter(({ parentSpanId }) => parentSpanId === parent);
    return { server, attempts };
  }

  async arrival(): Promise<void> {
    await once(this.#events, 'arrived');
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** The part of opentelemetry/proto/collector/trace/v1 that the router fills. */
const SCHEMA = `
  syntax = "proto3";
  message Request { repeated ResourceSpans resource_spans = 1; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
  message Resource { repeated KeyValue attributes = 1; }
  message ScopeSpans { repeated Span spans = 2; }
  message Span {
    bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4;
    string name = 5; int32 kind = 6; fixed64 start = 7; fixed64 end = 8;
    repeated KeyValue attributes = 9; Status status = 15;
  }
  message Status { string message = 2; int32 code = 3; }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message AnyValue { oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
    ArrayValue array_value = 5; } }
  message ArrayValue { repeated AnyValue values = 1; }
`;
const REQUEST = protobuf.parse(SCHEMA, { keepCase: false }).root.lookupType('Request');

type Value = Readonly<Record<string, unknown>> & { arrayValue?: { values?: Value[] } };

interface Attributes {
  readonly attributes?: { readonly key: string; readonly value: Value }[];
}

interface WireSpan extends Attributes {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind: number;
  readonly start: string;
  readonly end: string;
  readonly status?: { readonly code?: number };
}

interface WireRequest {
  readonly resourceSpans: {
    readonly resource: Attributes;
    readonly scopeSpans: { readonly spans: WireSpan[] }[];
  }[];
}

function spansOf(body: Buffer): CollectedSpan[] {
  const options = { longs: String, bytes: String };
  const decoded = REQUEST.toObject(REQUEST.decode(body), options) as unknown as WireRequest;
  return decoded.resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) => spans.map((span) => collected(span, resource))),
  );
}

function collected(span: WireSpan, resource: Attributes): CollectedSpan {
  const kinds: Record<number, CollectedSpan['kind']> = { 2: 'server', 3: 'client' };
  return {
    name: span.name,
    kind: kinds[span.kind] ?? 'other',
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentSpanId: hex(span.parentSpanId ?? ''),
    traceState: span.traceState ?? '',
    failed: span.status?.code === 2,
    durationMs: Number(BigInt(span.end) - BigInt(span.start)) / 1e6,
    attributes: plain(span),
    resource: plain(resource),
  };
}

function plain({ attributes = [] }: Attributes): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]));
}

function valueOf(value: Value): unknown {
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(valueOf);
  const [[kind, one] = []] = Object.entries(value);
  return kind === 'intValue' ? Number(one) : one;
}

function hex(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex');
}
