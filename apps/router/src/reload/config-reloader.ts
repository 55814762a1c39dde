import { watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { loadInstance, type Instance } from '@sanctum/catalog';
import { messageOf } from '@sanctum/errors';
import type { RouterLog } from '../log.js';
import { changesThatNeedARestart } from './restart-needed.js';

export interface ReloaderOptions {
  /** instance.yaml; editors may replace it by rename. */
  readonly file: string;
  /** What the router started with. */
  readonly instance: Instance;
  /** Brings the routes of a checked file in; throws and changes nothing when it cannot. */
  readonly apply: (instance: Instance) => Promise<void>;
  readonly log: RouterLog;
  /** Told of a file that was not taken. */
  readonly onRejected: (reason: string) => void;
}

/** An editor writes in several strokes; the file is read when it has been still for this long. */
const STILL_MS = 200;

/**
 * Takes over a changed instance.yaml: when the file changes, and on SIGHUP also when it did not,
 * because certificates and keys may have. A file that is not valid changes nothing and is an alert.
 */
export class ConfigReloader {
  readonly #options: ReloaderOptions;
  #instance: Instance;
  #watcher: FSWatcher | undefined;
  #still: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#instance = options.instance;
  }

  start(): void {
    process.on('SIGHUP', this.#onSignal);
    const { file, log } = this.#options;
    try {
      this.#watcher = watch(dirname(file), (_event, name) => {
        if (name === null || name === basename(file)) this.#readWhenStill();
      });
      this.#watcher.on('error', (error) => this.#watchFailed(error));
    } catch (error) {
      log.warn({ err: error, file }, 'config_not_watched: changes are taken over on SIGHUP only');
    }
  }

  /** Resolves when the file has been taken over or refused; one runs at a time. */
  reload(cause: 'file' | 'signal'): Promise<void> {
    this.#running = this.#running.then(() => this.#readAndApply(cause));
    return this.#running;
  }

  async stop(): Promise<void> {
    process.off('SIGHUP', this.#onSignal);
    clearTimeout(this.#still);
    this.#watcher?.close();
    await this.#running;
  }

  readonly #onSignal = (): void => void this.reload('signal');

  #readWhenStill(): void {
    clearTimeout(this.#still);
    this.#still = setTimeout(() => void this.reload('file'), STILL_MS);
    this.#still.unref();
  }

  #watchFailed(error: Error): void {
    const { file, log } = this.#options;
    this.#watcher?.close();
    log.warn({ err: error, file }, 'config_not_watched: changes are taken over on SIGHUP only');
  }

  async #readAndApply(cause: 'file' | 'signal'): Promise<void> {
    const { file, log, apply, onRejected } = this.#options;
    try {
      const next = loadInstance(file);
      if (cause === 'file' && isDeepStrictEqual(next, this.#instance)) return;
      await apply(next);
      const waiting = changesThatNeedARestart(this.#options.instance, next);
      this.#instance = next;
      log.info({ file, cause }, 'config_reloaded');
      if (waiting.length > 0) {
        log.warn({ settings: waiting }, 'config_needs_restart: these settings act after a restart');
      }
    } catch (error) {
      const reason = messageOf(error);
      log.error({ err: error, file, cause }, 'config_rejected: the running configuration stays');
      onRejected(reason);
    }
  }
}
