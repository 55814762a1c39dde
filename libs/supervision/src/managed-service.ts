import { setTimeout as wait } from 'node:timers/promises';
import { programInode } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import {
  advance,
  INITIAL_LIFECYCLE,
  type Lifecycle,
  type LifecycleEffect,
  type LifecycleEvent,
  type Phase,
} from './lifecycle.js';
import { probe } from './probe.js';
import type { ServiceSpec, ServiceStatus } from './service-manager.js';
import { SupervisedProcess } from './supervised-process.js';

const READINESS_POLL_MS = 50;
const PROBE_TIMEOUT_MS = 2_000;

/** What a service needs from the supervisor that owns it. */
export interface ManagedServiceHost {
  readonly logFile: string;
  readonly recordFile: string;
  requirementsReady(spec: ServiceSpec, signal: AbortSignal): Promise<void>;
  /** A phase or process changed. */
  changed(service: ManagedService): void;
}

/** Carries out what the state machine decides for one service. */
export class ManagedService {
  enabled = true;
  #lifecycle: Lifecycle = INITIAL_LIFECYCLE;
  #process: SupervisedProcess | undefined;
  /** Aborted when the phase ends: whatever was waited for in it no longer matters. */
  #phaseEnd = new AbortController();
  readonly #waiters = new Set<() => void>();

  constructor(
    readonly spec: ServiceSpec,
    private readonly host: ManagedServiceHost,
  ) {}

  get phase(): Phase {
    return this.#lifecycle.phase;
  }

  get reason(): string | null {
    return this.#lifecycle.reason;
  }

  get restarts(): number {
    return this.#lifecycle.restarts;
  }

  get process(): SupervisedProcess | undefined {
    return this.#process;
  }

  /** Resolves when ready; throws with the reason when the service was given up or stopped. */
  async start(): Promise<void> {
    if (this.phase === 'stopping') {
      await this.until((phase) => phase === 'stopped' || phase === 'failed');
    }
    this.#dispatch({ type: 'start' });
    const phase = await this.until(
      (current) => current === 'ready' || current === 'failed' || current === 'stopped',
    );
    if (phase !== 'ready') {
      throw new SanctumError(
        'io',
        `${this.spec.name} did not start: ${this.reason ?? phase}. See ${this.host.logFile}.`,
      );
    }
  }

  async stop(): Promise<void> {
    this.#dispatch({ type: 'stop' });
    await this.until((phase) => phase === 'stopped');
  }

  get isPaused(): boolean {
    return this.#lifecycle.paused;
  }

  /** From now on it is not started again when its process ends. */
  pause(): void {
    this.#dispatch({ type: 'pause' });
  }

  /** Ends the pause; what ended meanwhile is started at once. */
  resume(): void {
    this.#dispatch({ type: 'resume' });
  }

  async until(reached: (phase: Phase) => boolean, signal?: AbortSignal): Promise<Phase> {
    while (!reached(this.phase)) {
      signal?.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiters.delete(wake);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiters.add(wake);
        signal?.addEventListener('abort', wake);
      });
    }
    return this.phase;
  }

  async status(): Promise<ServiceStatus> {
    const asked =
      this.phase === 'ready' ? await probe(this.spec.readiness, PROBE_TIMEOUT_MS) : null;
    return {
      name: this.spec.name,
      state: this.phase,
      healthy: asked?.healthy ?? false,
      enabled: this.enabled,
      url: this.spec.url,
      restarts: this.restarts,
      reason: asked?.healthy === false ? asked.detail : this.reason,
      ...processStatus(this.#process),
    };
  }

  #dispatch(event: LifecycleEvent): void {
    const before = this.#lifecycle;
    const { next, effect } = advance(before, event, this.spec.restart);
    this.#lifecycle = next;
    if (next.phase !== before.phase) {
      this.#phaseEnd.abort();
      this.#phaseEnd = new AbortController();
    }
    if (effect !== null) {
      this.#perform(effect, this.#phaseEnd.signal);
    }
    if (next.phase !== before.phase) {
      this.host.changed(this);
      [...this.#waiters].forEach((wake) => wake());
    }
  }

  #perform(effect: LifecycleEffect, signal: AbortSignal): void {
    switch (effect.type) {
      case 'await_requirements':
        this.#whenDone(this.host.requirementsReady(this.spec, signal), {
          type: 'requirements_ready',
        });
        return;
      case 'spawn':
        this.#spawn(signal);
        return;
      case 'terminate':
        void this.#process?.terminate(this.spec.stopTimeoutMs);
        return;
      case 'schedule_restart':
        this.#whenDone(wait(effect.delayMs, undefined, { signal }), { type: 'backoff_over' });
        return;
    }
  }

  #spawn(signal: AbortSignal): void {
    let process: SupervisedProcess;
    try {
      process = new SupervisedProcess(this.spec, this.host);
    } catch (error) {
      // Its log could not be opened, on a full disk for one: as good as a program that ends at once.
      this.#whenDone(Promise.resolve(), exited(`cannot be run: ${messageOf(error)}`));
      return;
    }
    this.#process = process;
    void process.gone.then((reason) => {
      this.#process = undefined;
      this.#dispatch(exited(reason));
    });
    void this.#awaitReadiness(signal).then((event) => {
      if (!signal.aborted) {
        this.#dispatch(event);
      }
    });
  }

  async #awaitReadiness(signal: AbortSignal): Promise<LifecycleEvent> {
    const deadline = performance.now() + this.spec.startupTimeoutMs;
    for (;;) {
      const { healthy, detail } = await probe(this.spec.readiness, PROBE_TIMEOUT_MS);
      if (healthy || signal.aborted) {
        return { type: 'probe_passed' };
      }
      if (performance.now() >= deadline) {
        const reason = `not ready within ${this.spec.startupTimeoutMs} ms (${detail})`;
        return { type: 'startup_timed_out', reason };
      }
      await wait(READINESS_POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** The phase that waited may have ended meanwhile: then the wait was aborted and says nothing. */
  #whenDone(work: Promise<void>, event: LifecycleEvent): void {
    const { signal } = this.#phaseEnd;
    void work.then(
      () => this.#dispatch(event),
      (error: unknown) => {
        if (!signal.aborted) {
          throw error;
        }
      },
    );
  }
}

function exited(reason: string): LifecycleEvent {
  return { type: 'exited', at: Date.now(), reason };
}

function processStatus(
  process: SupervisedProcess | undefined,
): Pick<ServiceStatus, 'pid' | 'pids' | 'startedAt' | 'inode'> {
  if (process?.id === undefined) {
    return { pid: null, pids: [], startedAt: null, inode: null };
  }
  const { pid } = process.id;
  return {
    pid,
    pids: process.pids,
    startedAt: process.startedAt.toISOString(),
    inode: programInode(pid),
  };
}
