import { SanctumError } from '@sanctum/errors';
import type { SchedulerStats } from '@sanctum/generation';
import type { VerifiedModel } from '@sanctum/manifest';
import type { Logger } from 'pino';
import {
  fromWireError,
  type LoadedInfo,
  type LoadMessage,
  type LoadPhase,
  type SubmitMessage,
  type WorkerMessage,
} from '../protocol.js';
import { AnswerBook, type AnswerSink } from './answer-book.js';
import { assertServing, type HostState } from './host-state.js';
import { afterDeath, NO_FAILURES, type Backoff } from './restart-backoff.js';
import { DEFAULT_LIFE_LIMITS, WorkerLife, type LifeLimits } from './worker-life.js';
import { WorkerChannel, type WorkerExit } from './worker-channel.js';

/** A worker's death, once the next one serves. */
export interface WorkerRestart {
  readonly cause: 'signal' | 'exit' | 'unresponsive';
  readonly exit: WorkerExit;
  readonly restarts: number;
  readonly requestsLost: number;
  readonly downMs: number;
}

export interface WorkerHostOptions {
  readonly program: string;
  readonly modelId: string;
  readonly model: VerifiedModel;
  readonly kernels: LoadMessage['kernels'];
  readonly limits: LoadMessage['limits'];
  readonly logger: Logger;
  readonly onPhase?: (phase: LoadPhase, elapsedMs: number) => void;
  /** The weights changed on disk: they can no longer be proven, and the service must end. */
  readonly onUnproven: (error: unknown) => void;
  /** See {@link WorkerChannelOptions}. */
  readonly onForeignMessage?: (message: object) => void;
  readonly life?: Partial<LifeLimits>;
}

/** Owns the worker process: starts it, restarts it, and knows what it owes to whom. */
export class WorkerHost {
  readonly #options: WorkerHostOptions;
  readonly #answers = new AnswerBook();
  readonly #restartListeners: ((restart: WorkerRestart) => void)[] = [];
  #channel: WorkerChannel | undefined;
  #state: HostState = 'loading';
  #info: LoadedInfo | undefined;
  #stats: SchedulerStats | undefined;
  #backoff: Backoff = NO_FAILURES;
  #restarts = 0;
  #readyAtMs = 0;
  #restartTimer: NodeJS.Timeout | undefined;
  #unresponsive = false;
  #death: Omit<WorkerRestart, 'downMs'> | undefined;
  #diedAtMs = 0;
  readonly #life: WorkerLife;
  #firstLoad: { resolve: (info: LoadedInfo) => void; reject: (error: unknown) => void } | undefined;
  #onDrained: (() => void) | undefined;
  #drained: Promise<void> | undefined;

  constructor(options: WorkerHostOptions) {
    this.#options = options;
    this.#life = new WorkerLife({
      ...DEFAULT_LIFE_LIMITS,
      ...options.life,
      askToken: (id) => this.#channel?.send({ type: 'probe', id }),
      onHang: () => {
        this.#unresponsive = true;
        this.#channel?.kill();
      },
    });
  }

  get state(): HostState {
    return this.#state;
  }

  /** Of the running worker, or of the one before it while it restarts. */
  get info(): LoadedInfo | undefined {
    return this.#info;
  }

  get stats(): SchedulerStats | undefined {
    return this.#stats;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get pid(): number | undefined {
    return this.#channel?.pid;
  }

  /** Requests that wait for an end. */
  get open(): number {
    return this.#answers.size;
  }

  onRestart(listener: (restart: WorkerRestart) => void): void {
    this.#restartListeners.push(listener);
  }

  /** Loads the model for the first time; a failure is final and names what is wrong. */
  start(): Promise<LoadedInfo> {
    return new Promise((resolve, reject) => {
      this.#firstLoad = { resolve, reject };
      this.#spawn();
    });
  }

  /** Throws `loading`, `draining` or `queue_full`; everything later goes to `sink`. */
  submit(request: Omit<SubmitMessage, 'type'>, sink: AnswerSink): void {
    this.assertServing();
    this.#answers.open(request.id, sink);
    this.#channel?.send({ type: 'submit', ...request });
    this.#life.watch(this.#answers.size);
  }

  /** Throws `loading` or `draining` while requests cannot be taken. */
  assertServing(): void {
    assertServing(this.#state);
  }

  /** The request's end still comes to its sink. Unknown ids are ignored. */
  cancel(id: string): void {
    if (this.#answers.has(id)) this.#channel?.send({ type: 'cancel', id });
  }

  /** A recent step proves life; only an idle worker is asked for a token. Never waits for work. */
  async isAlive(): Promise<boolean> {
    return this.#state === 'ready' && this.#life.isAlive();
  }

  /** Refuses what comes from now on; resolves when the last request has ended. */
  drain(): Promise<void> {
    this.#drained ??= this.#startDrain();
    return this.#drained;
  }

  /** Ends the worker; open answers end with `draining`. Resolves when its process is gone. */
  stop(): Promise<void> {
    this.#state = 'stopped';
    clearTimeout(this.#restartTimer);
    this.#life.onDeath();
    this.#channel?.kill();
    this.#answers.failAll(new SanctumError('draining', 'The engine was stopped.'));
    this.#onDrained?.();
    return this.#channel?.ended ?? Promise.resolve();
  }

  #startDrain(): Promise<void> {
    const serves = this.#state === 'ready' && this.#channel !== undefined;
    if (this.#state !== 'stopped') this.#state = 'draining';
    clearTimeout(this.#restartTimer);
    if (!serves) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onDrained = resolve;
      this.#channel?.send({ type: 'drain' });
    });
  }

  #spawn(): void {
    const { program, model, modelId, kernels, limits, onForeignMessage } = this.#options;
    try {
      model.assertUnchanged();
    } catch (error) {
      this.#lose(error);
      return;
    }
    const channel = new WorkerChannel({
      program,
      files: model.files,
      onMessage: (message) => this.#receive(message),
      onExit: (exit) => this.#onExit(exit),
      ...(onForeignMessage && { onForeignMessage }),
    });
    this.#channel = channel;
    this.#life.onLoading();
    const { inherited } = channel;
    channel.send({ type: 'load', model: { id: modelId, files: inherited }, kernels, limits });
  }

  #receive(message: WorkerMessage): void {
    switch (message.type) {
      case 'progress':
        this.#life.onLoading();
        this.#options.onPhase?.(message.phase, message.elapsedMs);
        break;
      case 'loaded':
        this.#onLoaded(message.info);
        break;
      case 'step':
        this.#life.onStep();
        this.#stats = message.stats;
        break;
      case 'probed':
        this.#life.onProbed();
        break;
      case 'drained':
        this.#onDrained?.();
        break;
      case 'fatal':
        this.#onFatal(fromWireError(message.error));
        break;
      case 'accepted':
      case 'failed':
      case 'cancelled':
        break;
    }
    this.#answers.take(message);
    this.#life.watch(this.#answers.size);
  }

  /** The weights are mapped now: what was mapped must be what was proven. */
  #onLoaded(info: LoadedInfo): void {
    try {
      this.#options.model.assertUnchanged();
    } catch (error) {
      this.#lose(error);
      return;
    }
    this.#info = info;
    this.#readyAtMs = Date.now();
    this.#life.onLoaded();
    if (this.#state === 'loading' || this.#state === 'restarting') this.#state = 'ready';
    this.#firstLoad?.resolve(info);
    this.#firstLoad = undefined;
    if (this.#death === undefined) return;
    const restart = { ...this.#death, downMs: this.#readyAtMs - this.#diedAtMs };
    this.#death = undefined;
    this.#options.logger.info({ ...restart, workerPid: this.pid }, 'worker_restarted');
    for (const listener of this.#restartListeners) listener(restart);
  }

  #onFatal(error: SanctumError): void {
    this.#options.logger.error({ err: error }, 'worker_fatal');
    this.#firstLoad?.reject(error);
    this.#firstLoad = undefined;
  }

  #lose(error: unknown): void {
    const { reject } = this.#firstLoad ?? {};
    this.#firstLoad = undefined;
    void this.stop();
    if (reject === undefined) this.#options.onUnproven(error);
    else reject(error);
  }

  #onExit(exit: WorkerExit): void {
    this.#channel = undefined;
    this.#life.onDeath();
    const ended = exit.signal ?? `code ${exit.code ?? 'unknown'}`;
    const how = this.#unresponsive ? `${ended}, after a long silence` : ended;
    const requestsLost = this.#answers.failAll(
      new SanctumError('worker_failed', `The model worker died (${how}). It is being restarted.`, {
        retryAfterS: 2,
      }),
    );
    this.#onDrained?.();
    if (this.#state === 'stopped' || this.#state === 'draining') return;
    if (this.#firstLoad !== undefined) {
      this.#firstLoad.reject(
        new SanctumError('worker_failed', `The model worker died while loading (${how}).`),
      );
      this.#firstLoad = undefined;
      this.#state = 'stopped';
      return;
    }
    this.#restartAfter(exit, requestsLost);
  }

  #restartAfter(exit: WorkerExit, requestsLost: number): void {
    const servedMs = this.#state === 'ready' ? Date.now() - this.#readyAtMs : 0;
    const crash = exit.signal === undefined ? 'exit' : 'signal';
    const cause = this.#unresponsive ? 'unresponsive' : crash;
    if (this.#death === undefined) this.#diedAtMs = Date.now();
    this.#state = 'restarting';
    this.#unresponsive = false;
    this.#restarts += 1;
    this.#backoff = afterDeath(this.#backoff, servedMs);
    this.#death = { cause, exit, restarts: this.#restarts, requestsLost };
    const { delayMs } = this.#backoff;
    this.#options.logger.error({ ...this.#death, restartInMs: delayMs }, 'worker_died');
    this.#restartTimer = setTimeout(() => this.#spawn(), delayMs);
  }
}
