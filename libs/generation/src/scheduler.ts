import { isSanctumError, messageOf, SanctumError } from '@sanctum/errors';
import { assertRequest, resolveLimits } from './admission.js';
import { EMPTY_PART, joinParts, toDelta, type Part } from './answer-part.js';
import { CacheBudget } from './cache-budget.js';
import type { CausalModel, SampledToken } from './causal-model.js';
import type { Delta, GenerationRequest, SchedulerStats, StepEvents } from './events.js';
import { Job } from './job.js';
import type { SchedulerLimits } from './limits.js';
import type { FinishReason } from './request.js';
import { Roster } from './roster.js';
import { planStep, type PlannedSpan } from './step-plan.js';
import type { Tokenizer } from './tokenizer.js';

export interface SchedulerOptions {
  readonly model: CausalModel;
  readonly tokenizer: Tokenizer;
  readonly limits?: Partial<SchedulerLimits>;
  /** Milliseconds of a clock that only goes forward. */
  readonly nowMs: () => number;
  /** An unsigned 64-bit seed for a request that brings none. */
  readonly randomSeed: () => bigint;
}

/** Bounds of `retryAfterS`, and what is said before any request has ended. */
const RETRY_AFTER_S = { min: 1, max: 60 };
/** Weight of the latest request in the running mean of how long requests take. */
const SERVICE_TIME_WEIGHT = 0.2;

/**
 * Continuous batching over one model: each step takes in one token of every answer and chunks of
 * prompts, in a bounded queue where clients take turns. Requests never affect one another's tokens.
 * Caches are reserved before they are used; where they run out, the youngest request gives its own
 * up and is computed again later, so that the oldest always goes on.
 */
export class Scheduler {
  readonly limits: SchedulerLimits;
  readonly #options: SchedulerOptions;
  readonly #model: CausalModel;
  readonly #budget: CacheBudget;
  readonly #endOfSequence: ReadonlySet<number>;
  readonly #jobs = new Map<string, Job>();
  readonly #roster: Roster;
  #deltas: Delta[] = [];
  #failed: { id: string; error: SanctumError }[] = [];
  #cancelled: string[] = [];
  readonly #counters = { steps: 0, promptTokens: 0, completionTokens: 0 };
  #serviceMs: number | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#model = options.model;
    const { info } = options.model;
    const asked = resolveLimits(options.limits ?? {});
    this.#budget = new CacheBudget(
      { bytesPerSequence: info.cacheBytesPerSequence, bytesPerToken: info.cacheBytesPerToken },
      asked.cacheBytesMax,
    );
    const contextTokensMax = Math.min(
      asked.contextTokensMax,
      info.contextLength,
      this.#budget.tokensMax,
    );
    if (contextTokensMax < 2) {
      throw new SanctumError(
        'out_of_memory',
        `A cache limit of ${asked.cacheBytesMax} bytes has no room for one request. Raise it.`,
      );
    }
    this.limits = { ...asked, contextTokensMax };
    this.#roster = new Roster(this.#budget, asked.runningMax);
    this.#endOfSequence = new Set(info.eosTokenIds);
  }

  /** Requests that have not ended, or whose end no step has told yet. */
  get hasWork(): boolean {
    return this.#jobs.size > 0 || this.#cancelled.length > 0;
  }

  get queued(): number {
    return this.#roster.queued;
  }

  get running(): number {
    return this.#roster.running.length + this.#roster.suspended;
  }

  /**
   * Queues a request and returns its id. From here it ends exactly once, in the events of a step.
   * Throws `queue_full` with `retryAfterS`, `context_length_exceeded` for a prompt that leaves no
   * room for an answer, `invalid_request` for token ids the model does not have.
   */
  submit(request: GenerationRequest): string {
    if (this.#jobs.has(request.id)) {
      throw new SanctumError('invalid_request', `The id ${request.id} is in use.`, { param: 'id' });
    }
    this.assertRoom();
    const { contextTokensMax } = this.limits;
    assertRequest(request, { contextTokensMax, vocabSize: this.#model.info.vocabSize });
    const room = contextTokensMax - request.promptTokens.length;
    const job = new Job({
      request,
      tokenizer: this.#options.tokenizer,
      maxTokens: Math.min(request.options.maxTokens ?? room, room),
      seed: request.options.sampling.seed ?? this.#options.randomSeed(),
      atMs: this.#options.nowMs(),
    });
    this.#jobs.set(job.id, job);
    this.#roster.enqueue(job);
    return job.id;
  }

  /** Throws `queue_full` when `reserved` requests on their way here have taken the last places. */
  assertRoom(reserved = 0): void {
    const waiting = this.#roster.queued + reserved;
    if (waiting < this.limits.queuedMax) return;
    throw new SanctumError(
      'queue_full',
      `${waiting} requests are waiting, which is the limit. Try again later.`,
      { retryAfterS: this.#retryAfterS() },
    );
  }

  /** Ends a request at once: its caches are free, no further token is computed for it. */
  cancel(id: string): boolean {
    const job = this.#jobs.get(id);
    if (job === undefined) return false;
    this.#leave(job);
    this.#cancelled.push(id);
    return true;
  }

  /** Computes one step over all running requests and tells what it brought. */
  runStep(): StepEvents {
    const startedMs = this.#options.nowMs();
    this.#admit(startedMs);
    const plan = this.#roster.reserve(planStep(this.#roster.running, this.limits.stepTokensMax));
    if (plan.length > 0) {
      this.#counters.steps += 1;
      this.#compute(plan);
    }
    const stats = this.stats(this.#options.nowMs() - startedMs);
    const events = {
      deltas: this.#deltas,
      failed: this.#failed,
      cancelled: this.#cancelled,
      stats,
    };
    this.#deltas = [];
    this.#failed = [];
    this.#cancelled = [];
    return events;
  }

  stats(stepMs = 0): SchedulerStats {
    return {
      queued: this.queued,
      running: this.running,
      cacheBytes: this.#budget.reservedBytes,
      stepMs,
      ...this.#counters,
      preemptions: this.#roster.preemptions,
      retryAfterS: this.#retryAfterS(),
    };
  }

  #admit(atMs: number): void {
    for (;;) {
      const job = this.#roster.admitNext();
      if (job === undefined) return;
      try {
        job.start(this.#model.createSequence(), atMs);
      } catch (error) {
        this.#fail(job, error);
      }
    }
  }

  #compute(plan: readonly PlannedSpan[]): void {
    try {
      this.#step(plan);
    } catch (error) {
      this.#recover(plan, error);
    }
  }

  /** Runs the spans as one batch, then draws the next token of those that ask for one. */
  #step(plan: readonly PlannedSpan[]): void {
    const spans = plan.flatMap(({ job, count, draws }) =>
      job.sequence === undefined
        ? []
        : [
            {
              sequence: job.sequence,
              tokens: job.nextTokens(count),
              logits: draws ? ('last' as const) : ('none' as const),
            },
          ],
    );
    this.#model.step(spans);
    for (const { job, count } of plan) {
      if (job.drawn === 0) this.#counters.promptTokens += count;
    }
    for (const [row, { job }] of plan.filter(({ draws }) => draws).entries()) {
      try {
        this.#take(job, this.#model.sample(row, job.sampling()));
      } catch (error) {
        this.#fail(job, error);
      }
    }
  }

  /** A batch that failed has changed nothing, so whose fault it was can be found one by one. */
  #recover(plan: readonly PlannedSpan[], error: unknown): void {
    const isShort = isSanctumError(error) && error.code === 'out_of_memory';
    if (isShort && this.#roster.running.length > 1) {
      this.#roster.suspendYoungest();
      const rest = plan.filter(({ job }) => job.sequence !== undefined);
      if (rest.length > 0) this.#compute(rest);
      return;
    }
    for (const span of plan) {
      try {
        if (plan.length === 1) throw error;
        this.#step([span]);
      } catch (own) {
        this.#fail(span.job, own);
      }
    }
  }

  #take(job: Job, sampled: SampledToken): void {
    const atMs = this.#options.nowMs();
    job.append(sampled, atMs);
    this.#counters.completionTokens += 1;
    const { ignoreEos } = job.request.options;
    if (this.#endOfSequence.has(sampled.token) && !ignoreEos) {
      this.#finish(job, 'stop');
      return;
    }
    const part = job.answer.push(sampled);
    if (part.stopped) this.#end(job, part, 'stop');
    else if (job.drawn >= job.maxTokens) this.#finish(job, 'length', part);
    else if (part.text !== '' || part.reasoning !== '' || part.tokens.length > 0)
      this.#deltas.push(toDelta(job, part));
  }

  /** Ends an answer with the text it still holds, where a stop sequence may yet be found. */
  #finish(job: Job, reason: FinishReason, part = EMPTY_PART): void {
    const rest = job.answer.flush();
    this.#end(job, joinParts(part, rest), rest.stopped ? 'stop' : reason);
  }

  #end(job: Job, part: Part, reason: FinishReason): void {
    const finish = job.finish(reason, this.#options.nowMs());
    this.#deltas.push({ ...toDelta(job, part), finish });
    this.#serviceMs ??= finish.totalMs - finish.queueMs;
    this.#serviceMs += SERVICE_TIME_WEIGHT * (finish.totalMs - finish.queueMs - this.#serviceMs);
    this.#leave(job);
  }

  #fail(job: Job, cause: unknown): void {
    const error = isSanctumError(cause)
      ? cause
      : new SanctumError('internal', `The step failed: ${messageOf(cause)}`, { cause });
    this.#failed.push({ id: job.id, error });
    this.#leave(job);
  }

  #leave(job: Job): void {
    this.#jobs.delete(job.id);
    this.#roster.remove(job);
  }

  #retryAfterS(): number {
    const perPlaceMs = (this.#serviceMs ?? 0) / this.limits.runningMax;
    const seconds = Math.ceil((perPlaceMs * this.#roster.queued) / 1000);
    return Math.min(RETRY_AFTER_S.max, Math.max(RETRY_AFTER_S.min, seconds));
  }
}
