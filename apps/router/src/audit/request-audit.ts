import type { Admitted } from '@sanctum/service-kit';
import type { AttemptRecord, RequestHealth } from '../health/request-health.js';
import type { AnswerHeaders } from '../proxy/answer-head.js';
import type { PlannedRequest } from '../proxy/plan-request.js';
import type { Upstream } from '../upstream/upstream.js';

/** One request, as the audit keeps it: who, what, by whom answered; never a word of it. */
export type RequestRecord = Readonly<Record<string, string | number | boolean | undefined>>;

export interface AuditedRequest {
  readonly requestId: string;
  readonly caller: Admitted;
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

/** `cut`: the answer had begun, and its end did not arrive, or was an error of the router's. */
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

/** Made for every request, so of one shape, and without copies. */
export function requestRecord(audited: AuditedRequest): RequestRecord {
  const { plan, health, caller } = audited;
  const last = health?.attempts.at(-1);
  const upstream = upstreamOf(audited);
  return {
    request_id: audited.requestId,
    identity: caller.identity,
    transport: caller.transport,
    route: audited.route,
    model: plan?.model?.slice(0, MODEL_LENGTH_MAX),
    backend: plan?.backend.name,
    rule: plan?.rule,
    url_index: upstream?.urlIndex,
    upstream_transport: upstream?.transport,
    digest: audited.answer?.digest,
    outcome: outcomeOf(audited, last),
    status: audited.status,
    error_class: errorClassOf(last),
    attempts: health?.attempts.length,
    prompt_tokens: health?.promptTokens,
    completion_tokens: health?.completionTokens,
    elapsed_ms: Math.round(audited.elapsedMs),
  };
}

/** Whose answer was passed on, or who was asked last. */
function upstreamOf({ plan, answer, health }: AuditedRequest): Upstream | undefined {
  const urlIndex = answer?.urlIndex ?? health?.attempts.at(-1)?.urlIndex;
  return urlIndex === undefined ? undefined : plan?.backend.upstreams[urlIndex];
}

function errorClassOf(last: AttemptRecord | undefined): string | undefined {
  return last?.errorClass === 'ok' ? undefined : last?.errorClass;
}

function outcomeOf(
  { status, wasFinished }: AuditedRequest,
  last: AttemptRecord | undefined,
): Outcome {
  if (status === undefined) return 'cancelled';
  if (!wasFinished) return 'cut';
  if (status >= 400) return 'refused';
  return last === undefined || last.outcome.kind === 'answered' ? 'answered' : 'cut';
}
