import type { RouteRule } from '@sanctum/routing';
import type { Dispatcher } from 'undici';
import type { PlannedRequest } from './plan-request.js';
import { listedInConnection } from './request-head.js';

export type AnswerHeaders = Parameters<
  NonNullable<Dispatcher.DispatchHandler['onResponseStart']>
>[2];

/** Where an answer came from; every answer of a backend carries it. */
export interface Provenance {
  readonly requestId: string;
  readonly backend: string;
  readonly urlIndex: number;
  readonly rule: RouteRule;
  readonly unknownModel: boolean;
}

export function provenanceOf(
  { requestId }: { readonly requestId: string },
  plan: PlannedRequest | undefined,
  urlIndex: number,
): Provenance {
  return {
    requestId,
    backend: plan?.backend.name ?? '',
    urlIndex,
    rule: plan?.rule ?? 'default',
    unknownModel: plan?.unknownModel ?? false,
  };
}

/** Not passed on: connection matters, and the names under which only the router speaks. */
const OWN_ANSWER_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'trailer',
  'upgrade',
  'x-request-id',
  'x-sanctum-request-id',
  'x-sanctum-backend',
  'x-sanctum-url-index',
  'x-sanctum-rule',
  'x-sanctum-model-unknown',
]);

export function isEventStream(headers: AnswerHeaders): boolean {
  const type = headers['content-type'];
  return typeof type === 'string' && type.toLowerCase().startsWith('text/event-stream');
}

/**
 * The head of a backend's answer for the client, as a flat list; `writeHead` takes it so. What an
 * event stream says of its length is left out: it may end with an event of the router's own, or
 * lose some.
 */
export function answerHeaders(headers: AnswerHeaders, provenance: Provenance): string[] {
  const isStream = isEventStream(headers);
  const flat = provenanceHeaders(provenance);
  const listed = listedInConnection(headers.connection);
  for (const name in headers) {
    if (OWN_ANSWER_HEADERS.has(name) || listed?.has(name) === true) continue;
    if (isStream && name === 'content-length') continue;
    const value = headers[name];
    if (typeof value === 'string') flat.push(name, value);
    else if (value !== undefined) for (const one of value) flat.push(name, one);
  }
  return flat;
}

export function provenanceHeaders(provenance: Provenance): string[] {
  const headers = [
    'x-request-id',
    provenance.requestId,
    'x-sanctum-request-id',
    provenance.requestId,
    'x-sanctum-backend',
    provenance.backend,
    'x-sanctum-url-index',
    String(provenance.urlIndex),
    'x-sanctum-rule',
    provenance.rule,
  ];
  if (provenance.unknownModel) headers.push('x-sanctum-model-unknown', 'true');
  return headers;
}
