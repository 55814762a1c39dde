import { fstatSync, openSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GREEDY } from '@sanctum/generation';
import type { WorkerMessage } from '../protocol.js';
import { EngineLoop } from './engine-loop.js';
import { loadEngine, type LoadedModel } from './load.js';
import { Outbox, UNSENT_MAX } from './outbox.js';

const MODEL = fileURLToPath(new URL('../../../../deploy/models/padawan', import.meta.url));

let loaded: LoadedModel;
beforeAll(() => {
  const files = readdirSync(MODEL).map((name) => {
    const fd = openSync(`${MODEL}/${name}`, 'r');
    return { name, fd, size: fstatSync(fd).size };
  });
  const model = { id: 'padawan', files };
  loaded = loadEngine(
    { type: 'load', model, kernels: { mode: 'exact', threads: 1 }, limits: { queuedMax: 2 } },
    () => undefined,
  );
});
afterAll(() => {
  loaded.model.free();
  loaded.context.free();
});

/** A main process that takes messages only when `take` is called. */
class Reader {
  readonly said: WorkerMessage[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly outbox: Outbox = new Outbox({
    send: (message, done) => {
      this.said.push(message);
      this.#waiting.push(() => done(null));
    },
    onRoom: () => this.loop.wake(),
    onBroken: () => undefined,
  });
  readonly loop: EngineLoop = new EngineLoop(loaded, this.outbox);

  take(): void {
    for (const done of this.#waiting.splice(0)) done();
  }

  submit(id: string, maxTokens: number): void {
    const options = { sampling: GREEDY, maxTokens, stop: [], ignoreEos: true };
    const prompt = { kind: 'text', text: 'go on' } as const;
    this.loop.submit({ type: 'submit', id, client: 'spec', prompt, options });
  }

  get steps(): number {
    return this.said.filter(({ type }) => type === 'step').length;
  }

  /** Lets the loop have turns: each takes one pass of the event loop. */
  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn += 1) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }
}

describe('EngineLoop', () => {
  it('stops computing while the main process does not read, and goes on when it does', async () => {
    const reader = new Reader();
    reader.submit('a', UNSENT_MAX + 20);
    await reader.turns(2 * UNSENT_MAX);
    expect(reader.said).toHaveLength(UNSENT_MAX);
    await reader.turns(UNSENT_MAX);
    expect(reader.said).toHaveLength(UNSENT_MAX);
    reader.take();
    await reader.turns(UNSENT_MAX);
    expect(reader.steps).toBe(UNSENT_MAX + 20);
  });

  it('counts prompts being tokenised as queued', () => {
    const reader = new Reader();
    for (const id of ['a', 'b', 'c']) reader.submit(id, 1);
    expect(reader.said).toMatchObject([{ type: 'failed', id: 'c', error: { code: 'queue_full' } }]);
  });

  it('computes no step when there is nothing to do', async () => {
    const reader = new Reader();
    reader.loop.wake();
    await reader.turns(5);
    expect(reader.said).toEqual([]);
  });

  it('gives memory back when a request has ended', async () => {
    const reader = new Reader();
    reader.submit('a', 3);
    await reader.turns(10);
    expect(reader.steps).toBe(3);
    expect(loaded.context.stats()).toMatchObject({ sequences: 0, cacheSpareBytes: 0 });
  });

  it('says once that it is drained', async () => {
    const reader = new Reader();
    reader.loop.drain();
    reader.loop.drain();
    reader.loop.wake();
    await reader.turns(3);
    expect(reader.said).toEqual([{ type: 'drained' }]);
  });
});
