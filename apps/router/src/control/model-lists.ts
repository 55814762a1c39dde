import type { Backend } from '../upstream/upstream.js';
import { probeBackend, type BackendState } from './backend-probe.js';

export interface ModelListsOptions {
  /** A list older than this is asked for again, behind the back of whoever gets the old one. */
  readonly freshMs: number;
  /** A list that could not be renewed for so long is forgotten. */
  readonly staleMs: number;
  /** The first to ask about a backend waits so long for it, at most. */
  readonly coldWaitMs: number;
  readonly now: () => number;
}

export const MODEL_LISTS_DEFAULTS: ModelListsOptions = {
  freshMs: 10_000,
  staleMs: 600_000,
  coldWaitMs: 300,
  now: () => performance.now(),
};

interface Entry {
  models: readonly string[];
  seenMs: number;
  askedMs: number;
  asking: Promise<void> | undefined;
}

/** What upstreams last said they serve. A dead one delays whoever asks first by `coldWaitMs`. */
export class ModelLists {
  readonly #backends: () => readonly Backend[];
  readonly #options: ModelListsOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(backends: () => readonly Backend[], options: Partial<ModelListsOptions> = {}) {
    this.#backends = backends;
    this.#options = { ...MODEL_LISTS_DEFAULTS, ...options };
  }

  async known(): Promise<readonly Pick<BackendState, 'name' | 'models'>[]> {
    const backends = this.#backends();
    this.#forgetOthers(new Set(backends.map(({ name }) => name)));
    const cold = backends.flatMap((backend) => this.#refresh(backend) ?? []);
    if (cold.length > 0) await this.#wait(cold);
    const { now, staleMs } = this.#options;
    const sinceMs = now() - staleMs;
    return [...this.#entries].flatMap(([name, { models, seenMs }]) =>
      seenMs >= sinceMs ? [{ name, models }] : [],
    );
  }

  /** What is under way for a backend that is asked for the first time. */
  #refresh(backend: Backend): Promise<void> | undefined {
    const nowMs = this.#options.now();
    const known = this.#entries.get(backend.name);
    if (known !== undefined) {
      const isDue = known.asking === undefined && nowMs - known.askedMs > this.#options.freshMs;
      if (isDue) void this.#ask(backend, known);
      return undefined;
    }
    const entry: Entry = { models: [], seenMs: -Infinity, askedMs: nowMs, asking: undefined };
    this.#entries.set(backend.name, entry);
    return this.#ask(backend, entry);
  }

  #ask(backend: Backend, entry: Entry): Promise<void> {
    entry.askedMs = this.#options.now();
    entry.asking = probeBackend(backend).then(({ healthy, models }) => {
      entry.asking = undefined;
      if (!healthy) return;
      entry.models = models;
      entry.seenMs = this.#options.now();
    });
    return entry.asking;
  }

  async #wait(cold: readonly Promise<void>[]): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#options.coldWaitMs);
    });
    await Promise.race([Promise.all(cold), enough]);
    clearTimeout(timer);
  }

  #forgetOthers(names: ReadonlySet<string>): void {
    for (const name of this.#entries.keys()) if (!names.has(name)) this.#entries.delete(name);
  }
}
