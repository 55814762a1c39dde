import { SanctumError } from '@sanctum/errors';
import {
  classifyOutcome,
  judgeAttempts,
  severityOf,
  type AnswerFinding,
  type AnswerKind,
  type AnswerReport,
  type AttemptOutcome,
  type FaultKind,
  type OutcomeClass,
  type Passage,
} from '@sanctum/routing';
import type { BackendHealth } from './backend-health.js';
import type { HealthRegistry } from './health-registry.js';
import type { UrlHealth } from './url-health.js';

/** An attempt that ended, as metrics count it. */
export interface AttemptRecord {
  readonly urlIndex: number;
  readonly outcome: AttemptOutcome;
  readonly waitedMs: number;
  /** One word: `ok`, `status_503`, `ECONNREFUSED`. */
  readonly errorClass: string;
  class: OutcomeClass;
  /** What a detector found in the answer. */
  readonly finding: AnswerFinding | undefined;
}

/** What is known of an attempt when it ends. */
export interface EndedAttempt {
  readonly urlIndex: number;
  readonly outcome: AttemptOutcome;
  readonly errorClass: string;
  readonly waitedMs: number;
  /** Of a 429 or 408. */
  readonly retryAfter: string | undefined;
  /** Until its first content; undefined when there was none. */
  readonly firstContentMs: number | undefined;
  readonly report: AnswerReport | undefined;
}

interface Passing {
  readonly url: UrlHealth;
  readonly urlIndex: number;
  readonly model: string;
  readonly passage: Passage;
}

interface Pending {
  readonly passing: Passing;
  readonly record: AttemptRecord;
}

/** What of a request matters for what its answers say of the target. */
export interface AskedFor {
  readonly model: string | undefined;
  readonly what: AnswerKind;
}

/** What one request may do, and what it has to tell about the URLs it was sent to. */
export class RequestHealth {
  readonly attempts: AttemptRecord[] = [];
  /** Undefined until an answer said it: no prompt is counted here. */
  promptTokens: number | undefined;
  completionTokens = 0;
  /** What the last answer that could be read says of itself. */
  report: AnswerReport | undefined;
  readonly #registry: HealthRegistry;
  readonly #bound: BackendHealth;
  readonly #model: string | undefined;
  readonly #answerKind: AnswerKind;
  #passing: Passing | undefined;
  #isUnderWay = false;
  /** 5xx whose blame depends on what the other URLs say. */
  #pending: Pending[] = [];

  constructor(registry: HealthRegistry, bound: BackendHealth, { model, what }: AskedFor) {
    this.#registry = registry;
    this.#bound = bound;
    this.#model = model;
    this.#answerKind = what;
  }

  /**
   * The URLs to try, in order. Throws `budget_spent` or `breaker_open`: the default backend is chosen
   * even when it cannot serve, and this is the error that its callers then get.
   */
  order(): readonly number[] {
    const nowMs = this.#registry.now();
    const { name } = this.#bound.backend;
    if (this.#registry.budgets.isSpent(this.#bound.scope, nowMs)) {
      const { resetsAtMs } = this.#registry.budgets.standing(this.#bound.scope, nowMs) ?? {};
      throw new SanctumError(
        'budget_spent',
        `Backend "${name}" has spent its completion tokens of today; it serves again after midnight.`,
        { retryAfterS: secondsUntil(resetsAtMs ?? nowMs, nowMs) },
      );
    }
    const order = this.#bound.order(this.#model, nowMs);
    if (order.length > 0) return order;
    throw new SanctumError(
      'breaker_open',
      `Every URL of backend "${name}" failed of late and is left alone for a while; ` +
        'GET /v1/backends says why.',
      { retryAfterS: secondsUntil(nowMs + this.#bound.nextProbeMs(this.#model, nowMs), nowMs) },
    );
  }

  /** Before a URL is called: false when it may not be, because its one probe is under way. */
  begin(urlIndex: number): boolean {
    // What is sent again to the same URL passes as what it was.
    const passing = this.#passing?.urlIndex === urlIndex ? this.#passing : this.#pass(urlIndex);
    if (passing === undefined) return false;
    passing.url.inFlight++;
    this.#isUnderWay = true;
    return true;
  }

  #pass(urlIndex: number): Passing | undefined {
    this.#release();
    const url = this.#bound.urls[urlIndex];
    const model = this.#bound.upstreamModel(urlIndex, this.#model);
    const passage = url?.pass(model, this.#registry.now());
    if (url === undefined || passage === undefined) return undefined;
    this.#passing = { url, urlIndex, model, passage };
    return this.#passing;
  }

  /** Gives back a probe whose request never reached its target. */
  #release(): void {
    if (this.#passing !== undefined) this.#tell(this.#passing, NEUTRAL, 'released');
    this.#passing = undefined;
  }

  ended(end: EndedAttempt): void {
    const passing = this.#passing;
    if (passing === undefined || !this.#isUnderWay) return;
    this.#isUnderWay = false;
    passing.url.inFlight--;
    const { urlIndex, outcome, errorClass, waitedMs } = end;
    const finding = end.report?.finding;
    const outcomeClass = classifyOutcome(outcome);
    const record = { urlIndex, outcome, waitedMs, errorClass, class: outcomeClass, finding };
    this.attempts.push(record);
    if (outcome.kind !== 'stale_connection') this.#passing = undefined;
    this.#count(end.report);
    if (asksToWait(outcome)) this.#cool(passing, end.retryAfter);
    if (record.class === 'success') {
      this.#recordAnswer({ passing, record }, end);
    } else if (outcome.kind === 'answered' && record.class === 'target_fault') {
      this.#pending.push({ passing, record });
    } else {
      this.#record({ passing, record });
    }
  }

  /** The URL at hand had done well before this request: a refused connection may be a restart. */
  get mayWait(): boolean {
    return this.#passing?.passage === 'normal';
  }

  /** The URL at hand will be called again in a moment; what it did just now says nothing yet. */
  paused(): void {
    if (!this.#isUnderWay || this.#passing === undefined) return;
    this.#isUnderWay = false;
    this.#passing.url.inFlight--;
  }

  /** The client is gone: of this attempt nothing is known but the tokens that were made. */
  cancelled(report: AnswerReport | undefined): void {
    if (!this.#isUnderWay || this.#passing === undefined) return;
    this.#isUnderWay = false;
    this.#passing.url.inFlight--;
    this.#count(report);
    this.settle();
  }

  /** No other URL will be asked any more: what the 5xx of this request mean is decided. */
  settle(): void {
    if (!this.#isUnderWay) this.#release();
    if (this.#pending.length === 0) return;
    const classes = judgeAttempts(this.attempts);
    const pending = this.#pending;
    this.#pending = [];
    for (const one of pending) {
      one.record.class = classes[this.attempts.indexOf(one.record)] ?? one.record.class;
      this.#record(one);
    }
  }

  #recordAnswer(one: Pending, end: EndedAttempt): void {
    const { passing, record } = one;
    const { finding } = record;
    if (finding !== undefined && severityOf(finding, this.#answerKind) === 'broken') {
      record.class = 'target_fault';
      this.#record(one);
      return;
    }
    const { isSlow, tripped } = passing.url.observe(end.firstContentMs ?? end.waitedMs);
    this.#registry.revision++;
    if (tripped) this.#tell(passing, FAULT, 'slow');
    // An answer that is too slow does not speak for its target.
    else if (isSlow) this.#tell(passing, NEUTRAL, 'slow');
    else this.#record(one);
  }

  #record({ passing, record }: Pending): void {
    const errorClass = record.finding ?? record.errorClass;
    this.#tell(passing, { outcomeClass: record.class, fault: faultOf(record) }, errorClass);
  }

  #tell(
    { url, model, passage }: Passing,
    result: { outcomeClass: OutcomeClass; fault: FaultKind },
    errorClass: string,
  ): void {
    const nowMs = this.#registry.now();
    if (result.outcomeClass === 'target_fault') url.lastError = { errorClass, atMs: nowMs };
    // Written out: a spread that adds to its copy costs a tenth of a request in Node 20.
    const { outcomeClass, fault } = result;
    const told = { outcomeClass, fault, passage, nowMs };
    const { before, after } = url.record(model, told);
    if (before === after) return;
    this.#registry.revision++;
    const isOpen = after.kind !== 'closed';
    const wasOpen = before.kind !== 'closed';
    if (isOpen === wasOpen) return;
    this.#registry.onEvent({
      kind: isOpen ? 'breaker_opened' : 'breaker_closed',
      name: url.name,
      model,
      errorClass: isOpen ? errorClass : undefined,
    });
  }

  #cool({ url }: Passing, retryAfter: string | undefined): void {
    url.cool(retryAfter, this.#registry.now());
    this.#registry.revision++;
  }

  #count(report: AnswerReport | undefined): void {
    if (report === undefined) return;
    this.report = report;
    if (report.promptTokens !== undefined) {
      this.promptTokens = (this.promptTokens ?? 0) + report.promptTokens;
    }
    this.completionTokens += report.completionTokens;
    this.#registry.spend(this.#bound, report.completionTokens);
  }
}

const FAULT = { outcomeClass: 'target_fault', fault: 'failure' } as const;
const NEUTRAL = { outcomeClass: 'neutral', fault: 'failure' } as const;

function asksToWait(outcome: AttemptOutcome): boolean {
  return outcome.kind === 'answered' && (outcome.status === 429 || outcome.status === 408);
}

function faultOf({ outcome, finding }: AttemptRecord): FaultKind {
  if (outcome.kind === 'connect_failure') return 'no_connection';
  return finding === undefined ? 'failure' : 'garbage';
}

function secondsUntil(atMs: number, nowMs: number): number {
  return Math.max(1, Math.ceil((atMs - nowMs) / 1_000));
}
