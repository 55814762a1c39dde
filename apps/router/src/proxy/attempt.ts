import {
  AnswerInspector,
  FirstContentDetector,
  type AnswerReport,
  type AttemptOutcome,
  type DetectorSettings,
} from '@sanctum/routing';
import type { Dispatcher } from 'undici';
import type { RouterLimits } from '../limits.js';
import type { Upstream } from '../upstream/upstream.js';
import { isEventStream, type AnswerHeaders } from './answer-head.js';
import { failureClass, outcomeOfError } from './attempt-failure.js';
import { HeldAnswer } from './held-answer.js';
import type { Relay } from './relay.js';
import type { StallWatch, Watched } from './stall-watch.js';
import { trueStatus } from './true-status.js';

export interface AttemptEnd {
  readonly outcome: AttemptOutcome;
  /** One word for logs and metrics: `ok`, `status_503`, `ECONNREFUSED`, `stall`. */
  readonly errorClass: string;
  readonly waitedMs: number;
  readonly answer: HeldAnswer | undefined;
}

/** The request an attempt belongs to. */
export interface AttemptOwner {
  readonly limits: RouterLimits;
  readonly stalls: StallWatch;
  /** A stream is held back until its first content. */
  readonly holdsPreamble: boolean;
  /** How answers are looked at; undefined when they are not understood. */
  readonly detectors: DetectorSettings | undefined;
  /** Content goes out: from here on the client's answer is this attempt's. */
  contentStarts(attempt: Attempt, head: { status: number; headers: AnswerHeaders }): Relay;
  attemptEnded(attempt: Attempt, end: AttemptEnd): void;
  /** Calls back when the client can take more. */
  onceDrained(resume: () => void): void;
  /** The client has not read anything for as long as an upstream may be silent. */
  clientStalled(): void;
}

type Phase =
  | 'waiting'
  /** An event stream before its first content. */
  | 'preamble'
  /** A plain answer that may still fit the limit. */
  | 'holding'
  /** An error answer. */
  | 'error'
  | 'relaying'
  | 'ended';

export interface AttemptRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: string[];
  readonly body: Uint8Array | null;
}

const CANCELLED = new Error('The router gave this attempt up.');

/** One request to one upstream URL, from dispatch to the last byte. */
export class Attempt implements Dispatcher.DispatchHandler, Watched {
  readonly upstream: Upstream;
  readonly #owner: AttemptOwner;
  readonly #startedMs = performance.now();
  #controller: Dispatcher.DispatchController | undefined;
  #phase: Phase = 'waiting';
  #status = 0;
  #headers: AnswerHeaders = {};
  #held: Buffer[] = [];
  #heldBytes = 0;
  #detector: FirstContentDetector | undefined;
  relay: Relay | undefined;
  #inspector: AnswerInspector | undefined;
  /** From the start until content went out; undefined before. */
  firstContentMs: number | undefined;
  #dueMs = Infinity;
  slot = -1;
  #paused = false;
  #deadlineMs = Infinity;

  constructor(owner: AttemptOwner, upstream: Upstream) {
    this.#owner = owner;
    this.upstream = upstream;
  }

  /** Until the first byte that limit, then the one on silence, and never beyond the deadline. */
  get dueMs(): number {
    return this.#dueMs;
  }

  start(request: AttemptRequest, limits: { firstByteMs: number; deadlineMs: number }): void {
    this.#deadlineMs = limits.deadlineMs;
    this.#dueMs = this.#startedMs + limits.firstByteMs;
    this.#owner.stalls.watch(this);
    const { method, path, headers, body } = request;
    this.upstream.pool.dispatch({ method, path, headers, body }, this);
  }

  /** Gives up without an outcome: the client is gone. False when it had ended before. */
  cancel(): boolean {
    if (this.#phase === 'ended') return false;
    this.#finish();
    this.#controller?.abort(CANCELLED);
    return true;
  }

  /** What the answer says of itself; of one that broke off, or was cancelled, only its tokens. */
  report(end?: AttemptEnd): AnswerReport | undefined {
    const inspector = this.#inspector;
    if (inspector === undefined) return undefined;
    if (end?.answer !== undefined) inspector.push(end.answer.text);
    return inspector.report(end?.outcome.kind === 'answered');
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#phase === 'ended') controller.abort(CANCELLED);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: AnswerHeaders,
  ): void {
    if (this.#phase === 'ended' || status < 200) return;
    this.#status = status;
    this.#headers = headers;
    const { detectors } = this.#owner;
    const isReadable = headers['content-encoding'] === undefined;
    const form = isEventStream(headers) ? 'events' : 'body';
    if (detectors !== undefined && isReadable && status < 300) {
      this.#inspector = new AnswerInspector(detectors, form);
    }
    if (status >= 400) {
      this.#phase = 'error';
    } else if (form === 'body') {
      this.#phase = 'holding';
    } else {
      this.#phase = 'preamble';
      if (this.#owner.holdsPreamble && isReadable) this.#detector = new FirstContentDetector();
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    switch (this.#phase) {
      case 'relaying':
        this.#pass(chunk);
        return;
      case 'preamble':
        this.#onPreamble(chunk);
        return;
      case 'holding':
        this.#hold(chunk);
        this.#alive();
        if (this.#heldBytes > this.#owner.limits.heldAnswerBytesMax) this.#release();
        return;
      case 'error':
        this.#onErrorBody(chunk);
        return;
      case 'waiting':
      case 'ended':
        return;
    }
  }

  onResponseEnd(): void {
    const phase = this.#phase;
    if (phase === 'ended') return;
    if (phase === 'preamble') this.#release();
    this.relay?.end();
    const isHeld = phase === 'holding' || phase === 'error';
    const answer = isHeld ? this.#answer(false) : undefined;
    if (answer !== undefined && this.#owner.holdsPreamble) {
      this.#status = answer.status = trueStatus(answer);
    }
    this.#end({ kind: 'answered', status: this.#status }, answer);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#phase === 'ended') return;
    if (this.#phase === 'error') {
      this.#end({ kind: 'answered', status: this.#status }, this.#answer(true));
      return;
    }
    const seen = {
      started: this.#controller !== undefined,
      answered: this.#phase !== 'waiting',
      elapsedMs: performance.now() - this.#startedMs,
    };
    this.#end(outcomeOfError(error, seen), undefined, failureClass(error));
  }

  #onPreamble(chunk: Buffer): void {
    this.#hold(chunk);
    const verdict = this.#detector?.push(chunk) ?? 'content';
    if (verdict === 'error') {
      this.#end({ kind: 'stream_error' }, undefined, 'stream_error');
      this.#controller?.abort(CANCELLED);
    } else if (verdict !== 'waiting' || this.#heldBytes > this.#owner.limits.preambleBytesMax) {
      this.#release();
    }
  }

  #onErrorBody(chunk: Buffer): void {
    this.#hold(chunk);
    this.#alive();
    if (this.#heldBytes <= this.#owner.limits.errorBodyBytesMax) return;
    this.#end({ kind: 'answered', status: this.#status }, this.#answer(true));
    this.#controller?.abort(CANCELLED);
  }

  #hold(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
  }

  #release(): void {
    this.#phase = 'relaying';
    this.#detector = undefined;
    const held = this.#held;
    this.#held = [];
    this.firstContentMs = performance.now() - this.#startedMs;
    this.relay = this.#owner.contentStarts(this, { status: this.#status, headers: this.#headers });
    for (const chunk of held) this.#pass(chunk);
  }

  #pass(chunk: Buffer): void {
    this.#alive();
    const canTakeMore = this.relay?.write(chunk);
    this.#inspector?.push(chunk.toString('latin1'));
    if (canTakeMore !== false || this.#paused) return;
    this.#paused = true;
    this.#controller?.pause();
    this.#owner.onceDrained(() => {
      this.#paused = false;
      this.#alive();
      this.#controller?.resume();
    });
  }

  overdue(): void {
    const kind = this.#isOutOfTime ? 'deadline' : 'stall';
    if (this.#paused && kind === 'stall') {
      this.#owner.clientStalled();
      return;
    }
    this.#end({ kind }, undefined, kind);
    this.#controller?.abort(CANCELLED);
  }

  /** The answer had been coming, and what it is due by is the deadline, not a sign of life. */
  get #isOutOfTime(): boolean {
    const isComing = this.#phase === 'relaying' || this.#phase === 'holding';
    return isComing && this.#dueMs === this.#deadlineMs;
  }

  #alive(): void {
    const idleMs = performance.now() + this.upstream.timeouts.idleMs;
    this.#dueMs = Math.min(idleMs, this.#deadlineMs);
  }

  #answer(isPartial: boolean): HeldAnswer {
    const [first] = this.#held;
    const body = this.#held.length === 1 && first ? first : Buffer.concat(this.#held);
    return new HeldAnswer({ status: this.#status, headers: this.#headers, body, isPartial });
  }

  #finish(): void {
    this.#phase = 'ended';
    this.#owner.stalls.unwatch(this);
  }

  #end(outcome: AttemptOutcome, answer?: HeldAnswer, errorClass?: string): void {
    this.#finish();
    const waitedMs = performance.now() - this.#startedMs;
    const answeredClass = this.#status < 400 ? 'ok' : `status_${this.#status}`;
    this.#owner.attemptEnded(this, {
      outcome,
      errorClass: errorClass ?? answeredClass,
      waitedMs,
      answer,
    });
  }
}
