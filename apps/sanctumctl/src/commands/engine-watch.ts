import { join } from 'node:path';
import { tailLog } from '@sanctum/supervision';
import type { Site } from '../instance/site.js';

interface EngineLine {
  readonly msg?: string;
  readonly percent?: number;
  /** Of an alert about the model. */
  readonly kind?: string;
  readonly level?: string;
}

/** What the engine's log says of its proof of the model, from the moment this is made. */
export class EngineWatch {
  readonly alerts: string[] = [];
  onPercent: (percent: number) => void = () => undefined;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;

  constructor(site: Site) {
    this.#done = this.#follow(join(site.paths.logs, 'engine.log'));
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  async #follow(log: string): Promise<void> {
    const { signal } = this.#abort;
    for await (const line of tailLog(log, { lines: 0, follow: true, signal })) {
      const { msg, percent, kind, level } = parse(line);
      if (msg === 'verifying' && percent !== undefined) this.onPercent(percent);
      if (level === 'warn' && kind !== undefined && msg !== undefined) this.alerts.push(msg);
    }
  }
}

/** A line that is no log entry, such as what Node itself prints, says nothing here. */
function parse(line: string): EngineLine {
  try {
    return JSON.parse(line) as EngineLine;
  } catch {
    return {};
  }
}
