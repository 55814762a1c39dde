import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { UpstreamProgram, waitUntil } from '@sanctum/testing';
import { ownPort } from '../own-port.fixture.js';
import { startTestRouter, type TestRouter } from '../router.fixture.js';

const QUESTION = { model: 'm', messages: [{ role: 'user', content: 'What is 2+2?' }] };

describe('a killed backend without another URL', () => {
  let upstream: UpstreamProgram;
  let router: TestRouter;
  beforeEach(async () => {
    upstream = await UpstreamProgram.start({ port: await ownPort() });
  });
  afterEach(async () => {
    await router.stop();
    await upstream.kill();
  });

  async function started(fields: object = {}, rest: object = {}): Promise<void> {
    // However long a program takes to start on a busy machine.
    const patient = { timeouts: { connect_s: 60 } };
    const council = { url: upstream.url('well'), models: ['m'], ...patient, ...fields };
    router = await startTestRouter({ router: { backends: { council }, ...rest } });
    // From here on the router keeps a connection to what will be killed.
    expect(await (await router.post(QUESTION)).text()).toContain('equals');
  }
  async function restarted(): Promise<void> {
    upstream = await UpstreamProgram.start({ port: upstream.port });
  }
  const areWaiting = (requests: number): Promise<unknown> =>
    waitUntil(() => router.logged('waiting for the only upstream').length === requests, {
      what: 'the router waits',
    });

  it('answers when it is back, and nobody notices but by the wait', async () => {
    await started();
    await upstream.kill();
    const plain = router.post(QUESTION, { headers: { 'x-request-id': 'plain' } });
    const streamed = router.post({ ...QUESTION, stream: true });
    await areWaiting(2);
    await restarted();
    const answers = await Promise.all([plain, streamed]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(await answers[0].text()).toContain('equals');
    expect(await answers[1].text()).toMatch(/equals.*\[DONE\]\n\n$/s);
    const told = router.logged('waiting for the only upstream');
    expect(told.filter(({ request_id: id }) => id === 'plain')).toHaveLength(1);
    expect(told[0]).toMatchObject({
      ...{ error_class: 'ECONNREFUSED', backend: 'council', identity: 'local' },
    });
    expect(router.logged('failover_attempt')).toEqual([]);
    expect(router.logged('breaker_opened')).toEqual([]);
    expect((await router.post(QUESTION)).status).toBe(200);
  });

  it('is given up after its connect timeout, which is one fault', async () => {
    await started({ timeouts: { connect_s: 0.3 }, breaker: { faults: 2 } });
    await upstream.kill();
    const startedMs = performance.now();
    const answer = await router.post(QUESTION);
    expect(answer.status).toBe(502);
    expect(await answer.json()).toMatchObject({ error: { code: 'upstream_failed' } });
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(200);
    expect(router.logged('failover_attempt')).toHaveLength(1);
    expect(router.logged('breaker_opened')).toEqual([]);
    expect((await router.post(QUESTION)).status).toBe(502);
    expect(router.logged('breaker_opened')).toHaveLength(1);
  });

  it('is not waited for once its breaker is open, and found at once when it is back', async () => {
    await started({ timeouts: { connect_s: 0.3 }, breaker: { faults: 1 } });
    await upstream.kill();
    expect((await router.post(QUESTION)).status).toBe(502);
    const waits = router.logged('waiting for the only upstream').length;
    expect((await router.post(QUESTION)).status).toBe(502);
    expect(router.logged('waiting for the only upstream')).toHaveLength(waits);
    await restarted();
    expect((await router.post(QUESTION)).status).toBe(200);
    expect(router.logged('breaker_closed')).toHaveLength(1);
  });

  it('is not called for a client that has left', async () => {
    await started();
    await upstream.kill();
    const leave = new AbortController();
    const gone = router.post({ ...QUESTION, left: true }, { signal: leave.signal });
    await areWaiting(1);
    leave.abort();
    await expect(gone).rejects.toThrow();
    await waitUntil(async () => (await router.metric('sanctum_router_inflight_requests')) === 0, {
      what: 'the router has given the request up',
    });
    await restarted();
    expect((await router.post(QUESTION)).status).toBe(200);
    expect(upstream.requests.filter(({ body }) => body.includes('left'))).toEqual([]);
  });
});
