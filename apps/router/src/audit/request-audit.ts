import type { IncomingMessage } from 'node:http';
import type { Admitted } from '@sanctum/service-kit';
import type { RequestHealth } from '../health/request-health.js';
import type { AnswerHeaders } from '../proxy/answer-head.js';
import type { PlannedRequest } from '../proxy/plan-request.js';

/** One request, as the audit keeps it: who, what, by whom answered; never a word of it. */
export type RequestRecord = Readonly<Record<string, string | number | boolean | undefined>>;

export interface AuditedRequest {
  readonly requestId: string;
  readonly caller: Admitted;
  readonly request: IncomingMessage;
  readonly route: string;
  readonly plan: PlannedRequest | undefined;
  readonly health: RequestHealth | undefined;
  /** HTTP status sent; undefined when the client was gone before there was one. */
  readonly status: number | undefined;
  /** The whole answer reached the client's connection. */
  readonly wasFinished: boolean;
  readonly answer: AnsweredBy | undefined;
  readonly elapsedMs: number;
}

/** The URL whose answer was passed on. */
export interface AnsweredBy {
  readonly urlIndex: number;
  readonly digest: string | undefined;
}

type Outcome = 'answered' | 'refused' | 'cut' | 'cancelled';

const DIGEST_HEADER = 'x-sanctum-model-digest';
const DIGEST = /^[\w:.-]{1,80}$/;
/** Of a model's name as a client sent it: names are short, and this is no place for anything else. */
const MODEL_LENGTH_MAX = 128;

export function answeredBy(urlIndex: number, headers: AnswerHeaders): AnsweredBy {
  const digest = headers[DIGEST_HEADER];
  const isDigest = typeof digest === 'string' && DIGEST.test(digest);
  return { urlIndex, digest: isDigest ? digest : undefined };
}

export function requestRecord(audited: AuditedRequest): RequestRecord {
  const { identity, transport } = audited.caller;
  return {
    request_id: audited.requestId,
    identity,
    transport,
    route: audited.route,
    ...chosen(audited),
    digest: audited.answer?.digest,
    outcome: outcomeOf(audited),
    status: audited.status,
    ...spent(audited.health),
    elapsed_ms: Math.round(audited.elapsedMs),
  };
}

function chosen({ plan, health, answer }: AuditedRequest): RequestRecord {
  if (plan === undefined) return {};
  const urlIndex = answer?.urlIndex ?? health?.attempts.at(-1)?.urlIndex;
  const upstream = urlIndex === undefined ? undefined : plan.backend.upstreams[urlIndex];
  return {
    model: plan.model?.slice(0, MODEL_LENGTH_MAX),
    backend: plan.backend.name,
    rule: plan.rule,
    url_index: urlIndex,
    upstream_transport: upstream?.transport,
  };
}

function spent(health: RequestHealth | undefined): RequestRecord {
  if (health === undefined) return {};
  const errorClass = health.attempts.at(-1)?.errorClass;
  return {
    error_class: errorClass === 'ok' ? undefined : errorClass,
    attempts: health.attempts.length,
    prompt_tokens: health.promptTokens,
    completion_tokens: health.completionTokens,
  };
}

function outcomeOf({ status, wasFinished }: AuditedRequest): Outcome {
  if (status === undefined) return 'cancelled';
  if (!wasFinished) return 'cut';
  return status < 400 ? 'answered' : 'refused';
}
