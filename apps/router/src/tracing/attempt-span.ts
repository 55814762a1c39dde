import type { AttemptRecord } from '../health/request-health.js';
import type { Upstream } from '../upstream/upstream.js';
import { CANCELLED, named, providerOf, type SpanAttributes, type SpanEnd } from './genai-names.js';
import type { TracedRequest } from './request-trace.js';

export interface TracedAttempt {
  readonly upstream: Upstream;
  /** How many attempts came before it. */
  readonly resent: number;
  /** Undefined for one that was given up because its client had gone. */
  readonly record: AttemptRecord | undefined;
}

/** What the span of one call of an upstream says. */
export function attemptEnd(request: TracedRequest, attempt: TracedAttempt): SpanEnd {
  const { upstream, resent, record } = attempt;
  const model = upstream.defaultModel?.name ?? request.plan?.model;
  const { name, attributes } = named({ route: request.route, method: request.method, model });
  return {
    name,
    attributes: {
      ...attributes,
      ...addressOf(upstream),
      ...(record === undefined ? { 'error.type': CANCELLED } : outcomeOf(record)),
      'gen_ai.provider.name': providerOf(upstream),
      'http.request.resend_count': resent === 0 ? undefined : resent,
      'sanctum.backend': upstream.backend,
      'sanctum.url_index': upstream.urlIndex,
      'sanctum.upstream_transport': upstream.transport,
    },
    failed: record !== undefined && attemptError(record) !== undefined,
  };
}

/** Why an attempt is no success: what a detector found, else its error class; undefined for a success. */
export function attemptError({ finding, errorClass }: AttemptRecord): string | undefined {
  return finding ?? (errorClass === 'ok' ? undefined : errorClass);
}

function outcomeOf(record: AttemptRecord): SpanAttributes {
  const { outcome } = record;
  return {
    'error.type': attemptError(record),
    'http.response.status_code': outcome.kind === 'answered' ? outcome.status : undefined,
    'sanctum.outcome_class': record.class,
  };
}

function addressOf(upstream: Upstream): SpanAttributes {
  const { hostname, port, protocol } = new URL(upstream.url);
  return {
    'server.address': hostname,
    'server.port': port === '' ? DEFAULT_PORTS[protocol] : Number(port),
  };
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };
