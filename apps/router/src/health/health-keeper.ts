import type { RouterLog } from '../log.js';
import type { HealthRegistry } from './health-registry.js';
import { healthSnapshotSchema, restoreSnapshot, takeSnapshot } from './health-snapshot.js';
import { readState, writeState } from './state-file.js';

/** What a killed router may have forgotten at most, but for the write that was under way. */
export const KEEP_EVERY_MS = 1_000;

/** Keeps the health of backends on disk, beside the requests and never in their way. */
export class HealthKeeper {
  readonly #registry: HealthRegistry;
  readonly #path: string;
  readonly #log: RouterLog;
  #keptRevision: number;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #isWriting = false;
  #failed = false;

  constructor(registry: HealthRegistry, { path, log }: { path: string; log: RouterLog }) {
    this.#registry = registry;
    this.#path = path;
    this.#log = log;
    this.#keptRevision = registry.revision;
  }

  /** Brings back what was kept. A file that cannot be read is set aside, with one warning. */
  async restore(): Promise<void> {
    const found = await readState(this.#path, healthSnapshotSchema);
    switch (found.kind) {
      case 'absent':
        break;
      case 'read':
        restoreSnapshot(this.#registry, found.state);
        break;
      case 'unreadable':
        this.#log.warn(
          { file: this.#path, set_aside_as: found.setAsideAs, reason: found.reason },
          'health_state_unreadable: breakers and budgets begin anew',
        );
        break;
    }
    this.#keptRevision = this.#registry.revision;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), KEEP_EVERY_MS).unref();
  }

  /** Resolves when the last state is on disk. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    this.#tick();
    await this.#writing;
  }

  #tick(): void {
    if (this.#isWriting || this.#keptRevision === this.#registry.revision) return;
    this.#isWriting = true;
    this.#writing = this.#write().finally(() => (this.#isWriting = false));
  }

  async #write(): Promise<void> {
    const { revision } = this.#registry;
    try {
      await writeState(this.#path, takeSnapshot(this.#registry));
      this.#keptRevision = revision;
      this.#failed = false;
    } catch (error) {
      // Said once, tried again with every tick: a full disk must not cost an answer.
      if (!this.#failed) this.#log.error({ err: error, file: this.#path }, 'health_state_not_kept');
      this.#failed = true;
    }
  }
}
