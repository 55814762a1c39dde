import { SanctumError } from '@sanctum/errors';
import {
  afterAttempt,
  endWaiting,
  firstByteWaitMs,
  movesOn,
  skipUrl,
  startFailover,
  startStreaming,
  type DetectorSettings,
  type FailoverState,
} from '@sanctum/routing';
import { RequestHealth } from '../health/request-health.js';
import { outgoingTo, replaceHeaders } from '../dialects/edge.js';
import { answerThrough } from '../thinking/answer-through.js';
import { routeLabel } from '../metrics.js';
import type { RouterLimits } from '../limits.js';
import type { Upstream } from '../upstream/upstream.js';
import { endedAttempt } from './ended-attempt.js';
import { answerHeaders, isEventStream, provenanceOf, type AnswerHeaders } from './answer-head.js';
import { Attempt, type AttemptEnd, type AttemptOwner } from './attempt.js';
import { brokenStream, withErrorTraits, sendBackendError, sendError } from './error-answer.js';
import type { ExchangeStart } from './exchange-start.js';
import { FailoverTrail } from './failover-trail.js';
import { sendWhole, type HeldAnswer } from './held-answer.js';
import { bodyFor, planRequest, type PlannedRequest } from './plan-request.js';
import type { ProxyContext } from './proxy-context.js';
import { Relay } from './relay.js';
import { RequestAccount } from './request-account.js';
import { RequestBody } from './request-body.js';
import { callerHeaders, forwardedHeaders } from './request-head.js';
import { isConversation, isInterpreted, pathOf } from './request-path.js';
import type { StallWatch } from './stall-watch.js';

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
  #health: RequestHealth | undefined;
  readonly #account: RequestAccount;
  #answered = false;
  #pause: NodeJS.Timeout | undefined;

  constructor(context: ProxyContext, start: ExchangeStart) {
    this.#context = context;
    this.#start = start;
    this.#account = new RequestAccount(context.tracing?.begin(start.request));
    this.#path = pathOf(start.target);
    this.holdsPreamble = start.request.method === 'POST' && isInterpreted(this.#path);
    this.#requestBody = new RequestBody(context, {
      complete: (body) => this.#onBody(body),
      refused: (error) => this.#refuse(error),
    });
  }

  get limits(): RouterLimits {
    return this.#context.limits;
  }

  get detectors(): DetectorSettings | undefined {
    return this.holdsPreamble ? this.#plan?.backend.resilience.detectors : undefined;
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
    const response = answerThrough(this.#start, this.#plan, this.limits);
    this.#state = startStreaming(this.#state);
    this.#answered = true;
    this.#health?.settle();
    this.#won(attempt.upstream);
    const headers = answerHeaders(
      head.headers,
      provenanceOf(this.#start, this.#plan, attempt.upstream.urlIndex),
    );
    response.writeHead(head.status, headers);
    this.#account.contentSent(attempt.upstream.urlIndex, head.headers);
    return new Relay(response, {
      events: isEventStream(head.headers),
      eventBytesMax: this.limits.eventBytesMax,
      errorEvent: this.#start.edge?.errorEvent,
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
    if (plan === undefined) return;
    const outcome = withErrorTraits(end);
    const mayWait = this.#health?.mayWait === true;
    this.#state = afterAttempt(this.#state, { outcome, nowMs: performance.now(), mayWait });
    if (this.#state.kind === 'waiting') {
      this.#trailOf(plan).waits(attempt.upstream, end);
      this.#wait(plan, this.#state);
      return;
    }
    if (movesOn(outcome)) this.#trailOf(plan).failed(attempt.upstream, end);
    this.#follow(plan, attempt, outcome === end.outcome ? end : { ...end, outcome });
  }

  #follow(plan: PlannedRequest, attempt: Attempt, end: AttemptEnd): void {
    const { upstream } = attempt;
    // Only of an answer that is on its way already, what it holds is looked at.
    if (this.#state.kind !== 'returned') this.#tellHealth(attempt, end);
    switch (this.#state.kind) {
      case 'trying':
        this.#tryNext(plan);
        return;
      case 'returned':
        if (end.answer !== undefined) {
          this.#won(upstream);
          this.#sendHeld(upstream.urlIndex, end.answer);
        }
        this.#tellHealth(attempt, end);
        return;
      case 'exhausted':
        this.#exhausted(plan);
        return;
      case 'broken':
        attempt.relay?.fail(brokenStream(upstream.backend, end.outcome));
        return;
      case 'waiting':
      case 'streaming':
        return;
    }
  }

  #onBody(body: Buffer): void {
    this.#account.read();
    try {
      const { request, policy } = this.#start;
      const plan = planRequest(this.#context, request, { path: this.#path, body, policy });
      this.#body = body;
      this.#plan = plan;
      this.#account.decided(plan.rule, plan.backend.name);
      this.#start.edge?.prepare(plan.backend.upstreams, body);
      const { health } = this.#context;
      this.#health = new RequestHealth(health, health.of(plan.backend), {
        model: plan.model,
        what: isConversation(this.#path) ? 'conversation' : 'continuation',
      });
      const order = this.#health.order();
      this.#state = startFailover(plan.backend.policy, this.#account.readMs, order);
      this.#tryNext(plan);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #tryNext(plan: PlannedRequest): void {
    while (this.#state.kind === 'trying' && this.#health?.begin(this.#state.urlIndex) !== true) {
      this.#state = skipUrl(this.#state);
    }
    if (this.#state.kind !== 'trying') {
      this.#exhausted(plan);
      return;
    }
    try {
      this.#dispatch(plan, this.#state);
    } catch (error) {
      this.#health?.cancelled(undefined);
      this.#refuse(error);
    }
  }

  #wait(plan: PlannedRequest, state: Extract<FailoverState, { kind: 'waiting' }>): void {
    this.#health?.paused();
    this.#account.waits();
    this.#pause = setTimeout(() => {
      this.#state = endWaiting(state);
      this.#tryNext(plan);
    }, state.retryAtMs - performance.now());
  }

  #dispatch(plan: PlannedRequest, state: Extract<FailoverState, { kind: 'trying' }>): void {
    const upstream = plan.backend.upstreams[state.urlIndex];
    if (upstream === undefined) {
      throw new SanctumError('internal', 'The failover plan named a URL that is not there.');
    }
    const { request, requestId } = this.#start;
    const { target, body, headers: own } = outgoingTo(upstream, this.#start, this.#body);
    const headers = replaceHeaders(forwardedHeaders(request, requestId), own);
    headers.push(...callerHeaders(this.#start.caller, upstream.transport));
    this.#account.asks(upstream, headers);
    const attempt = new Attempt(this, upstream);
    this.#attempt = attempt;
    attempt.start(
      {
        method: request.method ?? 'GET',
        path: upstream.basePath + target,
        headers,
        body: bodyFor(body, plan, upstream.defaultModel),
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

  #tellHealth(attempt: Attempt, end: AttemptEnd): void {
    this.#health?.ended(endedAttempt(attempt, end));
    if (this.#state.kind !== 'trying') this.#health?.settle();
  }

  #sendHeld(urlIndex: number, answer: HeldAnswer): void {
    const response = answerThrough(this.#start, this.#plan, this.limits);
    const backend = this.#plan?.backend.name ?? '';
    const { status } = answer;
    this.#answered = true;
    const headers = answerHeaders(answer.headers, provenanceOf(this.#start, this.#plan, urlIndex));
    if (status < 400) {
      response.writeHead(status, headers);
      sendWhole(response, answer, this.#context.admission.inFlight);
      this.#account.contentSent(urlIndex, answer.headers);
      return;
    }
    sendBackendError(response, answer, { headers, backend });
  }

  /** Also where the primary was not asked at all: its breaker is open, or it cools down. */
  #won(upstream: Upstream): void {
    if (upstream.urlIndex === 0) return;
    this.#context.metrics.fallbacks.inc({ backend: upstream.backend });
    this.#trail?.won(upstream);
  }

  #exhausted(plan: PlannedRequest): void {
    this.#health?.settle();
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
    if (this.#trail === undefined) this.#context.refusals.inside(this.#start, { status, error });
  }

  #onClientClose(): void {
    const { response } = this.#start;
    if (!response.writableFinished && this.#attempt?.cancel() === true) {
      this.#health?.cancelled(this.#attempt.report());
    }
    clearTimeout(this.#pause);
    this.#start.policy?.spend(this.#health?.completionTokens ?? 0);
    this.#context.admission.leave(this.#requestBody.reservedBytes);
    this.#account.settle(this.#context, {
      route: routeLabel(this.#path),
      status: this.#answered ? `${Math.floor(response.statusCode / 100)}xx` : 'cancelled',
      wasFinished: response.writableFinished,
      health: this.#health,
      start: this.#start,
      plan: this.#plan,
    });
  }

  #trailOf(plan: PlannedRequest): FailoverTrail {
    const { requestId, caller } = this.#start;
    const request = { requestId, caller, startedMs: this.#account.readMs };
    this.#trail ??= new FailoverTrail(this.#context, plan.backend, request);
    return this.#trail;
  }
}
