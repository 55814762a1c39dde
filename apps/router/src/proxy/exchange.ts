import type { IncomingMessage, ServerResponse } from 'node:http';
import { SanctumError } from '@sanctum/errors';
import {
  afterAttempt,
  firstByteWaitMs,
  movesOn,
  startFailover,
  startStreaming,
  type FailoverState,
} from '@sanctum/routing';
import { routeLabel } from '../metrics.js';
import type { RouterLimits } from '../limits.js';
import { answerHeaders, type AnswerHeaders, type Provenance } from './answer-head.js';
import { Attempt, type AttemptEnd, type AttemptOwner, type HeldAnswer } from './attempt.js';
import { namedErrorBody, sendError } from './error-answer.js';
import { FailoverTrail } from './failover-trail.js';
import { bodyFor, isInterpreted, planRequest, type PlannedRequest } from './plan-request.js';
import type { ProxyContext } from './proxy-context.js';
import { Relay } from './relay.js';
import { RequestAccount } from './request-account.js';
import { RequestBody } from './request-body.js';
import { forwardedHeaders } from './request-head.js';
import type { StallWatch } from './stall-watch.js';

export interface ExchangeStart {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  /** Below `/v1`, with query. */
  readonly target: string;
}

/** One client request: reads it, plans it, runs attempts until one answers, and accounts for it. */
export class Exchange implements AttemptOwner {
  readonly holdsPreamble: boolean;
  readonly #context: ProxyContext;
  readonly #start: ExchangeStart;
  readonly #path: string;
  readonly #requestBody: RequestBody;
  #body: Buffer = Buffer.alloc(0);
  #plan: PlannedRequest | undefined;
  #state: FailoverState = { kind: 'returned', urlIndex: 0 };
  #attempt: Attempt | undefined;
  #trail: FailoverTrail | undefined;
  readonly #account = new RequestAccount();
  #answered = false;

  constructor(context: ProxyContext, start: ExchangeStart) {
    this.#context = context;
    this.#start = start;
    const query = start.target.indexOf('?');
    this.#path = query < 0 ? start.target : start.target.slice(0, query);
    this.holdsPreamble = isInterpreted(this.#path);
    this.#requestBody = new RequestBody(context, {
      complete: (body) => this.#onBody(body),
      refused: (error) => this.#refuse(error),
    });
  }

  get limits(): RouterLimits {
    return this.#context.limits;
  }

  get stalls(): StallWatch {
    return this.#context.stalls;
  }

  begin(): void {
    this.#context.admission.enter();
    this.#start.response.on('close', () => this.#onClientClose());
    this.#requestBody.read(this.#start.request);
  }

  contentStarts(attempt: Attempt, head: { status: number; headers: AnswerHeaders }): Relay {
    const { response } = this.#start;
    this.#state = startStreaming(this.#state);
    this.#answered = true;
    this.#trail?.won(attempt.upstream);
    const headers = answerHeaders(head.headers, this.#provenance(attempt.upstream.urlIndex));
    response.writeHead(head.status, headers);
    this.#account.contentSent();
    const type = head.headers['content-type'];
    return new Relay(response, {
      events: typeof type === 'string' && type.toLowerCase().startsWith('text/event-stream'),
      eventBytesMax: this.limits.eventBytesMax,
    });
  }

  onceDrained(resume: () => void): void {
    this.#start.response.once('drain', resume);
  }

  clientStalled(): void {
    this.#start.response.destroy();
  }

  attemptEnded(attempt: Attempt, end: AttemptEnd): void {
    const plan = this.#plan;
    const { upstream } = attempt;
    if (plan === undefined) return;
    const outcome = this.#judged(end, upstream.backend);
    this.#account.attemptEnded(outcome, end.waitedMs);
    this.#state = afterAttempt(this.#state, { outcome, nowMs: performance.now() });
    if (movesOn(outcome)) this.#trailOf(plan).failed(upstream, end);
    switch (this.#state.kind) {
      case 'trying':
        this.#tryNext(plan, this.#state);
        return;
      case 'returned':
        if (end.answer === undefined) return;
        this.#trail?.won(upstream);
        this.#sendHeld(upstream.urlIndex, end.answer);
        return;
      case 'exhausted':
        this.#exhausted(plan);
        return;
      case 'broken':
        attempt.relay?.fail(brokenStream(upstream.backend, end));
        return;
      case 'streaming':
        return;
    }
  }

  #onBody(body: Buffer): void {
    this.#account.read();
    try {
      const plan = planRequest(this.#context, this.#start.request, { path: this.#path, body });
      this.#body = body;
      this.#plan = plan;
      this.#account.decided(plan.rule, plan.backend.name);
      this.#state = startFailover(plan.backend.policy, this.#account.readMs);
      if (this.#state.kind === 'trying') this.#tryNext(plan, this.#state);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #tryNext(plan: PlannedRequest, state: Extract<FailoverState, { kind: 'trying' }>): void {
    const upstream = plan.backend.upstreams[state.urlIndex];
    if (upstream === undefined) {
      this.#refuse(
        new SanctumError('internal', 'The failover plan named a URL that is not there.'),
      );
      return;
    }
    const { request, requestId, target } = this.#start;
    const headers = forwardedHeaders(request, requestId);
    if (upstream.authorization !== undefined) headers.push('authorization', upstream.authorization);
    const attempt = new Attempt(this, upstream);
    this.#attempt = attempt;
    attempt.start(
      {
        method: request.method ?? 'GET',
        path: upstream.basePath + target,
        headers,
        body: bodyFor(this.#body, plan, upstream.defaultModel),
      },
      {
        firstByteMs: firstByteWaitMs(plan.backend.policy, state, {
          stream: plan.stream,
          nowMs: performance.now(),
        }),
        deadlineMs: state.deadlineMs,
      },
    );
  }

  /** An error that says it is loading is neutral, which only its body tells. */
  #judged(end: AttemptEnd, backend: string): AttemptEnd['outcome'] {
    const { outcome, answer } = end;
    if (outcome.kind !== 'answered' || outcome.status !== 503 || answer === undefined) {
      return outcome;
    }
    const { errorCode } = namedErrorBody(answer.body, { status: 503, backend });
    return errorCode === undefined ? outcome : { ...outcome, errorCode };
  }

  #sendHeld(urlIndex: number, answer: HeldAnswer): void {
    const { response } = this.#start;
    const backend = this.#plan?.backend.name ?? '';
    const { status } = answer;
    this.#answered = true;
    const headers = answerHeaders(answer.headers, this.#provenance(urlIndex));
    if (status < 400) {
      response.writeHead(status, headers);
      response.end(answer.body);
      this.#account.contentSent();
      return;
    }
    const isPlain = !answer.isPartial && answer.headers['content-encoding'] === undefined;
    const { bytes } = namedErrorBody(isPlain ? answer.body : EMPTY, { status, backend });
    response.writeHead(status, withErrorBody(headers, bytes.length));
    response.end(bytes);
  }

  #exhausted(plan: PlannedRequest): void {
    const trail = this.#trailOf(plan);
    trail.lost();
    const held = trail.bestAnswer;
    if (held !== undefined) {
      this.#sendHeld(held.urlIndex, held.answer);
      return;
    }
    this.#refuse(trail.error());
  }

  #refuse(error: unknown): void {
    this.#answered = true;
    const { requestId, response } = this.#start;
    const ids = ['x-request-id', requestId, 'x-sanctum-request-id', requestId];
    const plan = this.#plan;
    if (plan !== undefined) ids.push('x-sanctum-backend', plan.backend.name);
    const status = sendError(response, error, ids);
    if (status === 500) {
      this.#context.log.error({ request_id: requestId, err: error }, 'request failed');
    }
  }

  #onClientClose(): void {
    const { response } = this.#start;
    if (!response.writableFinished) this.#attempt?.cancel();
    this.#context.admission.leave(this.#requestBody.reservedBytes);
    this.#account.settle(this.#context.metrics, {
      route: routeLabel(this.#path),
      status: this.#answered ? `${Math.floor(response.statusCode / 100)}xx` : 'cancelled',
      wasFinished: response.writableFinished,
    });
  }

  #trailOf(plan: PlannedRequest): FailoverTrail {
    const { requestId } = this.#start;
    const request = { requestId, startedMs: this.#account.readMs };
    this.#trail ??= new FailoverTrail(this.#context, plan.backend, request);
    return this.#trail;
  }

  #provenance(urlIndex: number): Provenance {
    return {
      requestId: this.#start.requestId,
      backend: this.#plan?.backend.name ?? '',
      urlIndex,
      rule: this.#plan?.rule ?? 'default',
      unknownModel: this.#plan?.unknownModel ?? false,
    };
  }
}

const EMPTY = Buffer.alloc(0);

function withErrorBody(headers: readonly string[], bytes: number): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] ?? '';
    if (!name.startsWith('content-')) kept.push(name, headers[index + 1] ?? '');
  }
  return [...kept, 'content-type', 'application/json', 'content-length', String(bytes)];
}

function brokenStream(backend: string, end: AttemptEnd): SanctumError {
  return end.outcome.kind === 'stall'
    ? new SanctumError('upstream_timeout', `Backend "${backend}" went silent mid-answer.`)
    : new SanctumError('upstream_failed', `Backend "${backend}" broke off mid-answer.`);
}
