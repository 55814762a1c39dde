import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { chat, EngineProcess } from './testing/engine-process.js';
import { ENDLESS, limitedHome } from './testing/sealed-model.js';

const PLACES = 41;
/** Computed in more than 25 ms on any machine, so that forty who wait make more than a second. */
const LONG = { ignore_eos: true, max_tokens: 1500 };

let home: string;
let engine: EngineProcess;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'sanctum-engine-'));
  await limitedHome(home, { sequences: 1, queue: PLACES - 1, requests_per_client: PLACES });
  engine = await EngineProcess.start([], { SANCTUM_HOME: home });
});

afterAll(async () => {
  expect((await engine.stop()).code).toBe(0);
  rmSync(home, { recursive: true });
});

it('says to come back when those who wait will have been served', async () => {
  expect((await chat(engine.url, LONG)).status).toBe(200);
  const leaving = new AbortController();
  const { signal } = leaving;
  const ask = (): Promise<unknown> =>
    chat(engine.url, { ...ENDLESS, stream: false }, { signal }).catch(() => undefined);
  const asked = [ask()];
  await engine.reaches('sanctum_mlx_running_requests', 1);
  while (asked.length < PLACES) asked.push(ask());
  await engine.reaches('sanctum_mlx_queue_depth', PLACES - 1);
  const refused = await chat(engine.url);
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(1);
  leaving.abort();
  await Promise.all(asked);
  await engine.openRequests(0);
});
