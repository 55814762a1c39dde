import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { UpstreamProgram, waitUntil } from '@sanctum/testing';
import { Pool } from 'undici';
import type { Backend } from '../upstream/upstream.js';
import { ModelLists, type ModelListsOptions } from './model-lists.js';

let upstream: UpstreamProgram;
let spare: UpstreamProgram;
const pools: Pool[] = [];
let nowMs = 0;

beforeAll(async () => {
  [upstream, spare] = await Promise.all([UpstreamProgram.start(), UpstreamProgram.start()]);
});
afterAll(async () => {
  await Promise.all([...pools.map((pool) => pool.destroy()), upstream.kill(), spare.kill()]);
});

/** The part of a backend that is asked for its models. */
function backend(behaviour: string, program = upstream): Backend {
  const url = new URL(program.url(behaviour));
  const pool = new Pool(url.origin);
  pools.push(pool);
  const dialects = new Set(['chat']);
  const upstreams = [{ url: url.href, basePath: url.pathname, pool, dialects }];
  return { name: behaviour, upstreams } as unknown as Backend;
}

function lists(backends: readonly Backend[], options: Partial<ModelListsOptions> = {}): ModelLists {
  return new ModelLists(() => backends, { now: () => nowMs, ...options });
}

describe('ModelLists', () => {
  it('never waits for an upstream that does not answer, longer than once', async () => {
    const known = lists([backend('well'), backend('stall')], { coldWaitMs: 1_000 });
    const startedMs = performance.now();
    expect(await known.known()).toEqual([{ name: 'well', models: ['well-model'] }]);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    const againMs = performance.now();
    await known.known();
    expect(performance.now() - againMs).toBeLessThan(500);
  });

  it('shows the old list while it asks for the new one, and forgets it when it gets too old', async () => {
    const known = lists([backend('well', spare)], { freshMs: 10, staleMs: 1_000 });
    expect(await known.known()).toHaveLength(1);
    const asked = spare.requests.length;
    await known.known();
    expect(spare.requests).toHaveLength(asked);
    nowMs += 11;
    const request = spare.nextRequest();
    expect(await known.known()).toHaveLength(1);
    await request;
    await spare.kill();
    nowMs += 900;
    expect(await known.known()).toHaveLength(1);
    nowMs += 1_001;
    await waitUntil(async () => ((await known.known()).length === 0 ? true : undefined), {
      what: 'the list is forgotten',
    });
  });
});
