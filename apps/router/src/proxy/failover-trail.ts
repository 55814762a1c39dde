import type { Failover } from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import type { Admitted } from '@sanctum/service-kit';
import { requestFields } from '../audit/refusals.js';
import type { Backend, Upstream } from '../upstream/upstream.js';
import type { AttemptEnd } from './attempt.js';
import type { ProxyContext } from './proxy-context.js';
import type { HeldAnswer } from './held-answer.js';

interface TrailedRequest {
  readonly requestId: string;
  readonly caller: Admitted;
  readonly startedMs: number;
}

/** The failed attempts of one request; made only when there is a first one. */
export class FailoverTrail {
  readonly #context: ProxyContext;
  readonly #backend: Backend;
  readonly #request: TrailedRequest;
  #isWaiting = false;
  readonly #failures: { readonly upstream: Upstream; readonly end: AttemptEnd }[] = [];

  constructor(context: ProxyContext, backend: Backend, request: TrailedRequest) {
    this.#context = context;
    this.#backend = backend;
    this.#request = request;
  }

  /** What every log line about a request says of it. */
  get #who(): object {
    const { requestId, caller } = this.#request;
    return requestFields(requestId, caller);
  }

  failed(upstream: Upstream, end: AttemptEnd): void {
    this.#failures.push({ upstream, end });
    this.#context.log.warn(
      {
        ...this.#who,
        backend: upstream.backend,
        url: upstream.url,
        url_index: upstream.urlIndex,
        error_class: end.errorClass,
        waited_ms: Math.round(end.waitedMs),
      },
      'failover_attempt',
    );
  }

  /** Told once, of the first refusal: what follows within seconds is the same outage. */
  waits(upstream: Upstream, end: AttemptEnd): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#context.log.warn(
      {
        ...this.#who,
        backend: upstream.backend,
        url: upstream.url,
        error_class: end.errorClass,
      },
      'waiting for the only upstream',
    );
  }

  /** The answer comes from `winner`, which is not the primary; told off the request's path. */
  won(winner: Upstream): void {
    const [primary] = this.#backend.upstreams;
    const errorClass = this.#failures[0]?.end.errorClass ?? 'unknown';
    const elapsedMs = Math.round(performance.now() - this.#request.startedMs);
    this.#context.log.warn(
      {
        ...this.#who,
        backend: this.#backend.name,
        url: primary.url,
        winning_url: winner.url,
        error_class: errorClass,
        elapsed_ms: elapsedMs,
      },
      'failed over from primary',
    );
    const event = {
      backend: this.#backend.name,
      url: primary.url,
      winningUrl: winner.url,
      errorClass,
      requestId: this.#request.requestId,
      attempts: this.#failures.length + 1,
      elapsedMs,
    };
    setImmediate(() => this.#publish(event));
  }

  lost(): void {
    this.#context.log.error(
      { ...this.#who, backend: this.#backend.name, attempts: this.#failures.length },
      'no upstream answered',
    );
  }

  /**
   * What a client is best shown when no URL answered well: the last 429 or 408, because waiting
   * helps, else the last error answer there was.
   */
  get bestAnswer(): { readonly urlIndex: number; readonly answer: HeldAnswer } | undefined {
    const answers = this.#failures.flatMap(({ upstream, end }) =>
      end.answer === undefined ? [] : [{ urlIndex: upstream.urlIndex, answer: end.answer }],
    );
    return answers.findLast(({ answer }) => answer.status < 500) ?? answers.at(-1);
  }

  /** The error when nothing answered at all. URLs stay out of it: clients may be strangers. */
  error(): SanctumError {
    if (this.#failures.length === 0) {
      return new SanctumError(
        'breaker_open',
        `The one probe of backend "${this.#backend.name}" is under way; try again.`,
        { retryAfterS: 1 },
      );
    }
    const tried = this.#failures
      .map(({ upstream, end }) => `URL ${upstream.urlIndex}: ${end.errorClass}`)
      .join(', ');
    const kind = this.#failures.at(-1)?.end.outcome.kind;
    const isTimeout = kind === 'stall' || kind === 'deadline';
    return new SanctumError(
      isTimeout ? 'upstream_timeout' : 'upstream_failed',
      `No upstream of backend "${this.#backend.name}" answered (${tried}).`,
    );
  }

  /** Nobody waits for it, so nobody else would catch what it throws. */
  #publish(event: Failover): void {
    try {
      this.#context.onFailover(event);
    } catch (error) {
      this.#context.log.error({ request_id: event.requestId, err: error }, 'failover not reported');
    }
  }
}
