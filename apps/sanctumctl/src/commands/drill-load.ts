import { messageOf } from '@sanctum/errors';
import { CANARY_QUESTION } from './canary.js';

/** Requests under way at any time. */
export const LOAD_CONCURRENCY = 4;
const ANSWER_TIMEOUT_MS = 120_000;
const ANSWER_TOKENS_MAX = 8;

/** One request of the load. Times are milliseconds of `performance.now()`. */
export interface LoadSample {
  readonly startedMs: number;
  readonly endedMs: number;
  /** Index of the URL that answered; undefined when no answer came. */
  readonly urlIndex: number | undefined;
  /** Why it counts as lost; undefined for a whole, good answer. */
  readonly lost: string | undefined;
}

export interface LoadOptions {
  /** Origin of the router. */
  readonly router: string;
  /** Backend under drill, by its own name. */
  readonly model: string;
}

/** Asks without pause, a fixed number at a time, until told to stop. */
export class SteadyLoad {
  readonly samples: LoadSample[] = [];
  readonly #options: LoadOptions;
  readonly #waiting = new Set<() => void>();
  readonly #workers: Promise<void>[];
  #stopped = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#workers = Array.from({ length: LOAD_CONCURRENCY }, () => this.#work());
  }

  /** Resolves when `reached` holds after some answer; rejects when the signal aborts first. */
  async until(reached: () => boolean, signal: AbortSignal): Promise<void> {
    while (!reached()) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake);
      });
    }
  }

  /** Asks nothing more; resolves when what was asked is answered. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      this.samples.push(await this.#ask());
      for (const wake of [...this.#waiting]) wake();
    }
  }

  async #ask(): Promise<LoadSample> {
    const startedMs = performance.now();
    try {
      const answer = await fetch(`${this.#options.router}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          model: this.#options.model,
          messages: [{ role: 'user', content: CANARY_QUESTION }],
          temperature: 0,
          max_tokens: ANSWER_TOKENS_MAX,
        }),
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
      const text = await answer.text();
      const header = answer.headers.get('x-sanctum-url-index');
      const urlIndex = header === null ? undefined : Number(header);
      return {
        startedMs,
        endedMs: performance.now(),
        urlIndex,
        lost: whyLost(answer.status, text),
      };
    } catch (error) {
      const lost = messageOf(error);
      return { startedMs, endedMs: performance.now(), urlIndex: undefined, lost };
    }
  }
}

/** An answer counts only when it is whole and says something. */
function whyLost(status: number, text: string): string | undefined {
  if (status !== 200) return `HTTP ${status}`;
  try {
    const { choices } = JSON.parse(text) as { choices?: { message?: { content?: unknown } }[] };
    const content = choices?.[0]?.message?.content;
    return typeof content === 'string' && content !== '' ? undefined : 'no content';
  } catch {
    return 'not JSON';
  }
}
