import { mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { findProcess, isAlive } from '@sanctum/catalog';
import { waitUntil } from '@sanctum/testing';
import { chat, EngineProcess, holdLoadsBy, parseSse, SseReader } from './testing/engine-process.js';
import {
  ENDLESS,
  limitedHome,
  sealModel,
  widenContext,
  type SealedModel,
} from './testing/sealed-model.js';

const LONG = { stream: true, ignore_eos: true, max_tokens: 100 };

let root: string;
let model: SealedModel;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'sanctum-engine-'));
  model = await sealModel(root, widenContext);
});

afterAll(() => {
  rmSync(root, { recursive: true });
});

describe.each(['SIGKILL', 'SIGSEGV'] as const)('the worker killed with %s', (signal) => {
  let engine: EngineProcess;
  let held: string;

  beforeAll(async () => {
    held = join(root, `held-${signal}`);
    engine = await EngineProcess.start(model.flags, holdLoadsBy(held));
  });

  afterAll(async () => {
    expect((await engine.stop()).code).toBe(0);
  });

  it('ends streams with an error in-band, goes red, and serves again by itself', async () => {
    const before = await engine.workerPid();
    expect((await fetch(`${engine.url}/health/ready`)).status).toBe(200);
    const reader = new SseReader(await chat(engine.url, ENDLESS));
    const plain = chat(engine.url, { ...ENDLESS, stream: false });
    await reader.events(2);
    await engine.openRequests(2);
    const watch = watchHealth(engine);
    // The next worker waits until the red was seen, however long that takes to look.
    writeFileSync(held, '');
    process.kill(before, signal);
    const { events, done } = await reader.rest();
    expect(done).toBe(false);
    expect(events.at(-1)).toMatchObject({
      error: { code: 'worker_failed', type: 'api_error', source: 'engine' },
    });
    expect(events.slice(0, -1).every((event) => 'choices' in event)).toBe(true);
    const answer = await plain;
    expect(answer.status).toBe(500);
    expect(await answer.json()).toMatchObject({ error: { code: 'worker_failed' } });

    await waitUntil(() => watch.ready.has(503), { what: 'the engine is not ready' });
    rmSync(held);
    await watch.ended;
    // Green before and after is looked at by itself: the watch may begin and end within the red.
    expect([...watch.ready].filter((status) => status !== 503 && status !== 200)).toEqual([]);
    expect(watch.models).toEqual(new Set([200]));

    const restarted = await engine.line('worker_restarted');
    expect(restarted).toMatchObject({ cause: 'signal', exit: { signal }, requestsLost: 2 });
    expect(restarted['downMs']).toBeGreaterThanOrEqual(100);
    expect((await chat(engine.url)).status).toBe(200);
    expect((await fetch(`${engine.url}/health/ready`)).status).toBe(200);
    expect(await engine.workerPid()).not.toBe(before);
    expect(await engine.metric('sanctum_mlx_worker_restarts_total')).toBe(1);
  });
});

describe('SIGTERM', () => {
  it('lets answers end, refuses new ones, and exits 0', async () => {
    const engine = await EngineProcess.start(model.flags);
    const worker = findProcess(await engine.workerPid());
    const release = await engine.holdWorker();
    const answer = chat(engine.url, LONG);
    await engine.openRequests(1);
    const stopped = engine.stop();
    await engine.line('stopping');
    await expect(chat(engine.url)).rejects.toThrow();
    release();
    const { done, events } = parseSse(await (await answer).text());
    expect(done).toBe(true);
    expect(events.length).toBeGreaterThan(10);
    expect(await stopped).toEqual({ code: 0, signal: null });
    expect(worker && isAlive(worker)).toBe(false);
  });

  it('cuts what has not ended at the deadline, in-band, and exits 0', async () => {
    const home = join(root, 'impatient');
    await limitedHome(home, { drain_s: 0.2 });
    const engine = await EngineProcess.start([], { SANCTUM_HOME: home });
    const reader = new SseReader(await chat(engine.url, ENDLESS));
    await reader.events(2);
    const stopped = engine.stop();
    const text = await reader.rest().then(
      () => reader.text,
      () => reader.text,
    );
    expect(text).not.toContain('[DONE]');
    expect(await stopped).toEqual({ code: 0, signal: null });
  });
});

describe('POST /admin/drain', () => {
  it('finishes what runs, refuses what comes, and keeps answering health', async () => {
    const engine = await EngineProcess.start(model.flags);
    const release = await engine.holdWorker();
    const answer = chat(engine.url, LONG);
    await engine.openRequests(1);
    const drained = await fetch(`${engine.url}/admin/drain`, { method: 'POST' });
    expect(drained.status).toBe(202);
    expect(await drained.json()).toEqual({ status: 'draining', open_requests: 1 });
    const refused = await chat(engine.url);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ error: { code: 'draining' } });
    expect((await fetch(`${engine.url}/health/ready`)).status).toBe(503);
    release();
    expect(parseSse(await (await answer).text()).done).toBe(true);
    expect((await engine.stop()).code).toBe(0);
  });

  it('does not let a SIGTERM after it cut what still runs', async () => {
    const engine = await EngineProcess.start(model.flags);
    const release = await engine.holdWorker();
    const answer = chat(engine.url, LONG);
    await engine.openRequests(1);
    await (await fetch(`${engine.url}/admin/drain`, { method: 'POST' })).text();
    const stopped = engine.stop();
    await engine.line('stopping');
    release();
    expect(parseSse(await (await answer).text()).done).toBe(true);
    expect((await stopped).code).toBe(0);
  });
});

describe('weights changed in place while they are served', () => {
  it('are not served again: the engine ends when it would load them', async () => {
    const changing = await sealModel(join(root, 'changing'));
    const engine = await EngineProcess.start(changing.flags);
    const worker = await engine.workerPid();
    const file = openSync(join(changing.dir, 'model.safetensors'), 'r+');
    writeSync(file, Buffer.from([1]), 0, 1, 4096);
    process.kill(worker, 'SIGKILL');
    expect((await engine.exited).code).toBe(1);
    const line = await engine.line('model_changed');
    expect(JSON.stringify(line)).toMatch(/model\.safetensors was changed/);
  });
});

describe('a killed main process', () => {
  it('takes its worker with it', async () => {
    const engine = await EngineProcess.start(model.flags);
    const worker = findProcess(await engine.workerPid());
    const reader = new SseReader(await chat(engine.url, ENDLESS));
    await reader.events(1);
    engine.child.kill('SIGKILL');
    await engine.exited;
    await reader.rest().catch(() => undefined);
    await waitUntil(() => worker && !isAlive(worker), { what: 'the worker has ended' });
    // Looked at as text: what the kernel still had may end within an event.
    expect(reader.text).not.toContain('[DONE]');
  });
});

/** Asks again and again until the worker is back; a connection that fails fails the test. */
function watchHealth(engine: EngineProcess) {
  const ready = new Set<number>();
  const models = new Set<number>();
  const watch = async (path: string, statuses: Set<number>): Promise<void> => {
    while (!engine.lines.some(({ msg }) => msg === 'worker_restarted')) {
      const response = await fetch(`${engine.url}${path}`);
      statuses.add(response.status);
      await response.text();
    }
  };
  const ended = Promise.all([watch('/health/ready', ready), watch('/v1/models', models)]);
  return { ready, models, ended };
}
