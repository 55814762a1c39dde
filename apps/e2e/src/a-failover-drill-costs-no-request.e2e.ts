import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ask } from './ask.js';
import { checkout, Instance } from './instance.js';
import { addFallback, startSecondEngine, type SecondEngine } from './second-engine.js';

interface Receipt {
  readonly outcome: string;
  readonly backend: string;
  readonly lost: number;
  readonly requests: number;
  readonly medians: Record<string, number | null>;
  readonly rounds: readonly {
    readonly killedProcesses: readonly number[];
    readonly phases: Record<string, { readonly byUrl: Record<string, number> }>;
  }[];
}

const SANCTUMCTL = path.join(checkout, 'apps/sanctumctl/dist/bundle/main.mjs');

describe('a failover drill', () => {
  let instance: Instance;
  let second: SecondEngine | undefined;

  beforeAll(async () => {
    instance = await Instance.create();
    expect(await instance.up()).toMatchObject({ code: 0 });
  });
  afterAll(async () => {
    second?.kill();
    expect(await instance.destroy()).toEqual([]);
  });

  async function receipts(): Promise<Receipt[]> {
    const folder = path.join(instance.home, 'state', 'drills');
    const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
    const texts = await Promise.all(names.map((name) => readFile(path.join(folder, name), 'utf8')));
    return texts.map((text) => JSON.parse(text) as Receipt);
  }

  /** Starts a drill and ends it by `signal` once its victim is dead. */
  async function interruptedBy(signal: NodeJS.Signals): Promise<void> {
    const args = [SANCTUMCTL, 'drill', 'failover', '--home', instance.home];
    const drill = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const gone = once(drill, 'exit');
    for await (const line of createInterface({ input: drill.stdout })) {
      if (line.includes('kill -9')) drill.kill(signal);
    }
    await gone;
  }

  async function engineIsBack(before: number | null): Promise<void> {
    const deadline = Date.now() + 60_000;
    for (;;) {
      const { pid, healthy } = await instance.service('engine');
      if (healthy && pid !== null && pid !== before) return;
      if (Date.now() > deadline) throw new Error('the engine did not come back');
    }
  }

  /** The router probes a primary that has failed only when somebody asks. */
  async function primaryAnswers(): Promise<void> {
    const router = await instance.url('router');
    const deadline = Date.now() + 90_000;
    for (;;) {
      if ((await ask(router, { max_tokens: 1 })).urlIndex === '0') return;
      if (Date.now() > deadline) throw new Error('the primary does not answer again');
    }
  }

  it('is not begun where it would be an outage', async () => {
    const { pid } = await instance.service('engine');
    const refused = await instance.run('drill', 'failover');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('has no fallback_urls');
    const unknown = await instance.run('drill', 'failover', '--backend', 'nobody');
    expect(unknown.stderr).toContain('there is no backend "nobody"');
    expect((await instance.service('engine')).pid).toBe(pid);
  });

  it('kills the primary under load, loses nothing, and leaves a receipt', async () => {
    second = await startSecondEngine();
    await addFallback(instance, second.url);
    expect((await instance.run('down')).code).toBe(0);
    expect(await instance.up()).toMatchObject({ code: 0 });
    const before = await instance.service('engine');

    const drill = await instance.run('drill', 'failover', '--rounds', '2');
    expect(drill).toMatchObject({ code: 0 });
    const [receipt] = await receipts();
    expect(receipt).toMatchObject({ outcome: 'passed', lost: 0 });
    const [first, next] = receipt?.rounds ?? [];
    expect([...(first?.killedProcesses ?? [])].sort()).toEqual([...before.pids].sort());
    expect(next?.killedProcesses).not.toEqual(first?.killedProcesses);
    for (const measure of ['firstFallbackAnswerMs', 'firstFailedOverAddedMs', 'returnMs']) {
      expect(receipt?.medians[measure]).toEqual(expect.any(Number));
    }
    for (const round of [first, next]) {
      expect(round).toMatchObject({ phases: { before: { byUrl: { 0: expect.any(Number) } } } });
      expect(round).toMatchObject({ phases: { outage: { byUrl: { 1: expect.any(Number) } } } });
    }
    const page = /Receipt: (.*\.md)/.exec(drill.stdout)?.[1] ?? '';
    expect(await readFile(page, 'utf8')).toContain('outcome: passed');
    expect((await instance.service('engine')).healthy).toBe(true);
    process.stdout.write(`${await readFile(page, 'utf8')}\n`);
  }, 240_000);

  it('brings back what it killed when it is interrupted, or killed itself', async () => {
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const { pid } = await instance.service('engine');
      await interruptedBy(signal);
      await engineIsBack(pid);
      await primaryAnswers();
    }
    expect((await receipts()).map(({ outcome }) => outcome)).toEqual(['passed', 'interrupted']);
  }, 240_000);
});
