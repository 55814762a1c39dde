import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { UpstreamProgram, waitUntil } from '@sanctum/testing';
import { Pool } from 'undici';
import { ownPort } from '../own-port.fixture.js';
import type { Backend } from '../upstream/upstream.js';
import { PROBE_TIMEOUT_MS } from './backend-probe.js';
import { ModelLists, type ModelListsOptions } from './model-lists.js';

let upstream: UpstreamProgram;
let spare: UpstreamProgram;
const pools: Pool[] = [];
let nowMs = 0;

beforeAll(async () => {
  upstream = await UpstreamProgram.start();
  spare = await UpstreamProgram.start({ port: await ownPort() });
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
    const known = lists([backend('well'), backend('stall')], { coldWaitMs: 100 });
    // Half of what the probe waits. However late timers are called, it is in their order.
    const tooLong = once(AbortSignal.timeout(PROBE_TIMEOUT_MS / 2), 'abort').then(() => 'too long');
    expect(await Promise.race([known.known().then(() => 'known'), tooLong])).toBe('known');
    const nextTurn = new Promise<string>((resolve) => {
      setImmediate(() => resolve('it was waited for'));
    });
    expect(await Promise.race([known.known().then(() => 'known'), nextTurn])).toBe('known');
    const listed = await waitUntil(
      async () => {
        const now = await known.known();
        return now.length > 0 && now;
      },
      { what: 'the one that answers is known' },
    );
    expect(listed).toEqual([{ name: 'well', models: ['well-model'] }]);
  });

  it('shows the old list while it asks for the new one, and forgets it when it gets too old', async () => {
    const patient = { coldWaitMs: 20_000 };
    const known = lists([backend('well', spare)], { ...patient, freshMs: 10, staleMs: 1_000 });
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
    // It may have answered in its last moment.
    const isForgotten = async (): Promise<boolean> => {
      nowMs += 1_001;
      return (await known.known()).length === 0;
    };
    await waitUntil(isForgotten, { what: 'the list is forgotten' });
  });
});
