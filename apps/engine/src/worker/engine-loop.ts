import { randomBytes } from 'node:crypto';
import { SanctumError } from '@sanctum/errors';
import { Scheduler, type StepEvents } from '@sanctum/generation';
import { toWireError, type LoadedInfo, type SubmitMessage } from '../protocol.js';
import { Intake } from './intake.js';
import type { LoadedModel } from './load.js';
import { computeOneToken } from './one-token.js';
import type { Outbox } from './outbox.js';

/** Tokenising between two steps, in milliseconds, while answers are being computed. */
const INTAKE_MS = 4;

/**
 * Serves a loaded model: takes requests in, computes step after step while there is work, and tells
 * each step in one message. Between steps the process listens, so a cancel takes effect at the next.
 */
export class EngineLoop {
  readonly #loaded: LoadedModel;
  readonly #outbox: Outbox;
  readonly #scheduler: Scheduler;
  readonly #intake: Intake;
  #state: 'idle' | 'scheduled' = 'idle';
  #service: 'open' | 'draining' | 'drained' = 'open';

  constructor(loaded: LoadedModel, outbox: Outbox) {
    this.#loaded = loaded;
    this.#outbox = outbox;
    this.#scheduler = new Scheduler({
      model: loaded.model,
      tokenizer: loaded.tokenizer,
      limits: loaded.limits,
      nowMs: () => performance.now(),
      randomSeed: () => randomBytes(8).readBigUInt64LE(),
    });
    this.#intake = new Intake({
      tokenizer: loaded.tokenizer,
      template: loaded.template,
      contextTokensMax: this.#scheduler.limits.contextTokensMax,
    });
  }

  get info(): LoadedInfo {
    const { model, library, phasesMs } = this.#loaded;
    const { limits } = this.#scheduler;
    return {
      model: model.info,
      library,
      contextLength: limits.contextTokensMax,
      limits,
      phasesMs,
    };
  }

  submit(message: SubmitMessage): void {
    try {
      if (this.#service !== 'open')
        throw new SanctumError('draining', 'The engine is shutting down.');
      if (this.#intake.has(message.id)) throw new Error(`the id ${message.id} is in use`);
      this.#scheduler.assertRoom(this.#intake.size);
      this.#intake.push(message);
      this.wake();
    } catch (error) {
      this.#outbox.post({ type: 'failed', id: message.id, error: toWireError(error) });
    }
  }

  cancel(id: string): void {
    if (this.#intake.cancel(id)) this.#outbox.post({ type: 'cancelled', id });
    else this.#scheduler.cancel(id);
    this.wake();
  }

  probe(id: string): void {
    const startedMs = performance.now();
    computeOneToken(this.#loaded.model);
    this.#outbox.post({ type: 'probed', id, elapsedMs: performance.now() - startedMs });
  }

  drain(): void {
    if (this.#service === 'open') this.#service = 'draining';
    this.wake();
  }

  /** Goes on computing when there is work and the main process keeps up. */
  wake(): void {
    if (this.#state === 'scheduled' || this.#outbox.isFull) return;
    if (this.#intake.size === 0 && !this.#scheduler.hasWork) {
      this.#tellDrained();
      return;
    }
    this.#state = 'scheduled';
    setImmediate(() => {
      this.#state = 'idle';
      this.#turn();
      this.wake();
    });
  }

  #tellDrained(): void {
    if (this.#service !== 'draining') return;
    this.#service = 'drained';
    this.#outbox.post({ type: 'drained' });
  }

  #turn(): void {
    const untilMs = performance.now() + INTAKE_MS;
    do this.#takeIn();
    while (this.#intake.size > 0 && performance.now() < untilMs);
    if (this.#scheduler.hasWork) this.#publish(this.#scheduler.runStep());
  }

  #takeIn(): void {
    const prepared = this.#intake.advance();
    if (prepared === undefined) return;
    const { id } = prepared;
    try {
      if ('error' in prepared) throw prepared.error;
      this.#scheduler.submit(prepared.request);
      const promptTokens = prepared.request.promptTokens.length;
      this.#outbox.post({ type: 'accepted', id, promptTokens });
    } catch (error) {
      this.#outbox.post({ type: 'failed', id, error: toWireError(error) });
    }
  }

  #publish({ deltas, failed, cancelled, stats }: StepEvents): void {
    this.#outbox.post({
      type: 'step',
      at: Date.now(),
      deltas,
      stats: { ...stats, queued: stats.queued + this.#intake.size },
    });
    for (const { id, error } of failed) {
      this.#outbox.post({ type: 'failed', id, error: toWireError(error) });
    }
    for (const id of cancelled) this.#outbox.post({ type: 'cancelled', id });
    const ended = failed.length + cancelled.length + deltas.filter(({ finish }) => finish).length;
    if (ended > 0) this.#loaded.context.clearCache();
  }
}
