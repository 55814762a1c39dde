import type { IncomingMessage } from 'node:http';
import { attemptError } from './attempt-span.js';
import { CANCELLED, named, providerOf, type SpanAttributes, type SpanEnd } from './genai-names.js';
import type { TracedRequest } from './request-trace.js';

/** Known before anything of the request has been read but its headers. */
export function arrivalAttributes({ socket }: IncomingMessage): SpanAttributes {
  return { 'server.address': socket.localAddress, 'server.port': socket.localPort };
}

/** What the span of a request says. */
export function requestEnd(request: TracedRequest): SpanEnd {
  const { route, method, plan, caller, status, requestId } = request;
  const { name, attributes } = named({ route, method, model: plan?.model });
  const error = errorOf(request);
  return {
    name,
    attributes: {
      ...attributes,
      ...choiceAttributes(request),
      ...answerAttributes(request),
      'enduser.id': caller.identity,
      'http.response.status_code': status,
      'error.type': error.type,
      'sanctum.transport': caller.transport,
      'sanctum.request_id': requestId,
      'sanctum.route': route,
    },
    failed: error.isOwn,
  };
}

function choiceAttributes({ plan, health, answer }: TracedRequest): SpanAttributes {
  if (plan === undefined) return {};
  const { backend, rule, stream } = plan;
  const urlIndex = answer?.urlIndex ?? health?.attempts.at(-1)?.urlIndex ?? 0;
  return {
    'gen_ai.provider.name': providerOf(backend.upstreams[urlIndex] ?? backend.upstreams[0]),
    'gen_ai.request.stream': stream ? true : undefined,
    'sanctum.backend': backend.name,
    'sanctum.rule': rule,
    'sanctum.attempts': health?.attempts.length,
    'sanctum.url_index': answer?.urlIndex,
    'sanctum.model_digest': answer?.digest,
  };
}

function answerAttributes({ health, plan, firstContentMs }: TracedRequest): SpanAttributes {
  const { promptTokens, completionTokens, report } = health ?? {};
  if (report === undefined) return {};
  const { model, finishReason } = report;
  const isTimed = plan?.stream === true && firstContentMs !== undefined;
  return {
    'gen_ai.response.model': model,
    'gen_ai.response.finish_reasons': finishReason === undefined ? undefined : [finishReason],
    'gen_ai.response.time_to_first_chunk': isTimed ? firstContentMs / 1_000 : undefined,
    'gen_ai.usage.input_tokens': promptTokens,
    'gen_ai.usage.output_tokens': completionTokens,
  };
}

interface RequestError {
  readonly type: string | undefined;
  readonly isOwn: boolean;
}

function errorOf({ status, wasFinished, health }: TracedRequest): RequestError {
  const last = health?.attempts.at(-1);
  const ofAttempt = last === undefined ? undefined : attemptError(last);
  if (status !== undefined && status >= 400) {
    return { type: ofAttempt ?? String(status), isOwn: status >= 500 };
  }
  // Of an answer that had begun well: it broke off, or something is wrong with it.
  if (ofAttempt !== undefined) return { type: ofAttempt, isOwn: true };
  return { type: wasFinished ? undefined : CANCELLED, isOwn: false };
}
