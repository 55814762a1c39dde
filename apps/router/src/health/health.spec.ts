import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { UpstreamProgram, waitUntil } from '@sanctum/testing';
import { ownPort } from '../own-port.fixture.js';
import { useRouterBench } from '../router-bench.fixture.js';
import type { TestRouter } from '../router.fixture.js';

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'What is 2+2?' }] };
const STREAM = { ...CHAT, stream: true };
/** Nothing listens there: port 1 is reserved. */
const NOWHERE = 'http://127.0.0.1:1/v1';

interface ShownUrl {
  readonly breakers: readonly {
    model: string;
    state: string;
    faults?: number;
    probe_from?: string;
  }[];
  readonly cooling_until: string | null;
  readonly latency_ema_s: number | null;
  readonly last_error: { class: string } | null;
  readonly in_flight: number;
}
interface ShownBackend {
  readonly available: boolean;
  readonly reason?: string;
  readonly unreachable_models: readonly string[];
  readonly thresholds: Record<string, number | null>;
  readonly budget: { used_tokens: number; left_tokens: number; resets_at: string } | null;
  readonly urls: readonly ShownUrl[];
}

describe('the health of backends', () => {
  const bench = useRouterBench();

  function backend(urls: string[], more: object = {}): object {
    const [url, ...fallback_urls] = urls.map((name) =>
      name.startsWith('http') ? name : bench.upstream.url(name),
    );
    return { url, fallback_urls, models: ['m'], ...more };
  }

  async function start(council: object): Promise<TestRouter> {
    return bench.start({ router: { backends: { council } } });
  }

  /** The running router takes this backend over. */
  async function reloaded(council: object): Promise<void> {
    bench.router.rewrite({ backends: { council } });
    await waitUntil(() => bench.router.logged('config_reloaded').length > 0, {
      what: 'the reload',
    });
  }

  async function ask(body: object = CHAT): Promise<{ status: number; index: string | null }> {
    const answer = await bench.router.post(body);
    await answer.text();
    return { status: answer.status, index: answer.headers.get('x-sanctum-url-index') };
  }

  async function askTimes(times: number, body: object = CHAT): Promise<(string | null)[]> {
    const indexes: (string | null)[] = [];
    for (let count = 0; count < times; count++) indexes.push((await ask(body)).index);
    return indexes;
  }

  async function shown(): Promise<ShownBackend> {
    const { backends } = (await (await bench.router.get('/v1/backends')).json()) as {
      backends: [ShownBackend];
    };
    return backends[0];
  }

  const asked = (behaviour: string): number =>
    bench.upstream.requests.filter((one) => one.behaviour === behaviour && one.method === 'POST')
      .length;

  describe('a breaker', () => {
    it('opens after five faults in a row, and the URL is asked no more', async () => {
      await start(backend(['status-500', 'well']));
      expect(await askTimes(7)).toEqual(Array(7).fill('1'));
      expect(asked('status-500')).toBe(5);
      expect((await shown()).urls[0]).toMatchObject({
        breakers: [{ model: 'm', state: 'open', last_fault: 'failure' }],
        last_error: { class: 'status_500' },
        in_flight: 0,
      });
      expect(bench.router.logged('breaker_opened')).toEqual([
        expect.objectContaining({ backend: 'council', model: 'm', error_class: 'status_500' }),
      ]);
      expect(
        await bench.router.metric('sanctum_router_breaker_state{backend="council",url_index="0"}'),
      ).toBe(2);
    });

    it('that keeps the primary from being asked does not hide that a fallback answers', async () => {
      await start(backend(['status-500', 'well']));
      await askTimes(7);
      expect(asked('status-500')).toBe(5);
      await ask(STREAM);
      const fallbacks = 'sanctum_router_backend_fallback_total{backend="council"}';
      expect(await bench.router.metric(fallbacks)).toBe(8);
      expect(bench.router.failovers).toHaveLength(5);
    });

    it('lets one probe pass when its time is over, and closes when that is answered', async () => {
      const port = await ownPort();
      const primary = await UpstreamProgram.start({ port });
      await start(backend([primary.url('well'), 'well'], { breaker: { faults: 2, open_s: 0.3 } }));
      await primary.kill();
      expect(await askTimes(2)).toEqual(['1', '1']);
      expect((await shown()).urls[0]?.breakers).toMatchObject([{ state: 'open' }]);
      const again = await UpstreamProgram.start({ port });
      await waitUntil(async () => (await ask()).index === '0', { what: 'the primary is back' });
      expect((await shown()).urls[0]?.breakers).toEqual([]);
      expect(bench.router.logged('breaker_closed')).toHaveLength(1);
      await again.kill();
    });

    it('keeps everybody else away while its probe is under way', async () => {
      const port = await ownPort();
      const primary = await UpstreamProgram.start({ port });
      const council = (openS: number): object =>
        backend([primary.url('gated-json'), 'well'], { breaker: { faults: 1, open_s: openS } });
      await start(council(0.1));
      await primary.kill();
      expect(await askTimes(1)).toEqual(['1']);
      const again = await UpstreamProgram.start({ port });
      const arrived = again.nextRequest();
      const probes: Promise<{ index: string | null }>[] = [];
      await waitUntil(
        async () => {
          probes.push(ask());
          return Promise.race([arrived.then(() => true), Promise.all(probes).then(() => false)]);
        },
        { what: 'a probe is under way' },
      );
      // A probe keeps others away for no longer than that; from here on it may take its time.
      await reloaded(council(600));
      expect(await askTimes(3)).toEqual(['1', '1', '1']);
      expect((await shown()).urls[0]).toMatchObject({ breakers: [{ state: 'probing' }] });
      again.release();
      expect((await Promise.all(probes)).map(({ index }) => index).at(-1)).toBe('0');
      expect(again.requests.filter(({ method }) => method === 'POST')).toHaveLength(1);
      await again.kill();
    });

    it('is one for each model of a URL', async () => {
      await start(backend(['status-500', 'well'], { models: ['m', 'n'] }));
      await askTimes(5);
      await ask({ ...CHAT, model: 'n' });
      expect(asked('status-500')).toBe(6);
      expect((await shown()).urls[0]?.breakers).toMatchObject([
        { model: 'm', state: 'open' },
        { model: 'n', state: 'closed', faults: 1 },
      ]);
    });

    it('of every URL open answers 503 with the time of the next probe, and asks nobody', async () => {
      await start(backend(['status-500']));
      await askTimes(5);
      const answer = await bench.router.post(CHAT);
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(25);
      expect(await answer.json()).toMatchObject({
        error: { code: 'breaker_open', source: 'router' },
      });
      expect(asked('status-500')).toBe(5);
      expect(await shown()).toMatchObject({ unreachable_models: ['m'] });
    });

    it('does not keep a restarted target waiting when nothing else is left', async () => {
      const port = await ownPort();
      const only = await UpstreamProgram.start({ port });
      await start(backend([only.url('well')], { timeouts: { connect_s: 0.1 } }));
      await only.kill();
      await askTimes(6);
      expect((await shown()).urls[0]?.breakers).toMatchObject([
        { state: 'open', last_fault: 'no_connection' },
      ]);
      const again = await UpstreamProgram.start({ port });
      expect(await ask()).toEqual({ status: 200, index: '0' });
      expect((await shown()).urls[0]?.breakers).toEqual([]);
      await again.kill();
    });

    it('is not moved by a request that every URL answers with the same 5xx', async () => {
      const other = await UpstreamProgram.start();
      await start(backend(['status-500', other.url('status-500')]));
      for (let count = 0; count < 8; count++) expect((await ask()).status).toBe(500);
      expect((await shown()).urls.map(({ breakers }) => breakers)).toEqual([[], []]);
      const faults = 'sanctum_router_backend_requests_total{backend="council",outcome="answered"';
      expect(await bench.router.metric(`${faults},class="request_fault"}`)).toBe(16);
      await other.kill();
    });

    it.each([
      ['4xx', 'status-404'],
      ['401', 'status-401'],
      ['a model that loads', 'loading'],
    ])('is not moved by %s', async (_name, behaviour) => {
      await start(backend([behaviour]));
      await askTimes(8);
      expect((await shown()).urls[0]?.breakers).toEqual([]);
      expect(asked(behaviour)).toBe(8);
    });

    it('of all that a rule names sends the request to the default', async () => {
      const bad = backend(['status-500']);
      const good = { url: bench.upstream.url('well') };
      await bench.start({ router: { default: 'good', backends: { bad, good } } });
      await askTimes(5);
      const answer = await bench.router.post(CHAT);
      await answer.text();
      expect(answer.headers.get('x-sanctum-backend')).toBe('good');
      const explained = await bench.router.get('/v1/route?model=m');
      expect(await explained.json()).toMatchObject({
        explanation: [
          'exact: bad matched by "m" but was passed over: breaker open.',
          'glob: nothing matches "m".',
          expect.any(String),
          'default: good.',
          'Routed to good by default.',
        ],
      });
    });

    it('is judged by new thresholds after a reload, and stays as it was', async () => {
      const urls = ['status-500', 'well'];
      await start(backend(urls));
      await askTimes(5);
      await reloaded(backend(urls, { breaker: { open_s: 0.05 } }));
      await waitUntil(async () => (await ask()).index === '1' && asked('status-500') > 5, {
        what: 'a probe passes by the new threshold',
      });
    });
  });

  describe('a 5xx whose request found no end', () => {
    /** Leaves while the second URL is asked. */
    async function askAndLeave(): Promise<void> {
      const leave = new AbortController();
      const gone = bench.router.post(CHAT, { signal: leave.signal });
      while ((await bench.upstream.nextRequest()).behaviour !== 'stall');
      leave.abort();
      await expect(gone).rejects.toThrow();
    }
    const breaker = async (urlIndex = 0) => (await shown()).urls[urlIndex]?.breakers[0];

    it('counts when the client leaves during the next URL', async () => {
      await start(backend(['status-500', 'stall']));
      await askAndLeave();
      await waitUntil(async () => (await shown()).urls[1]?.in_flight === 0, {
        what: 'the client has gone',
      });
      expect(await breaker()).toMatchObject({ state: 'closed', faults: 1 });
    });

    it('ends a probe, though its client leaves', async () => {
      await start(backend(['status-500', 'stall'], { breaker: { faults: 1, open_s: 0.2 } }));
      await askAndLeave();
      await waitUntil(async () => (await breaker())?.state === 'open', { what: 'it is open' });
      await waitUntil(
        async () => {
          await askAndLeave();
          return asked('status-500') === 2;
        },
        { what: 'a probe is answered with 500' },
      );
      await waitUntil(async () => (await breaker())?.state === 'open', {
        what: 'it is open again',
      });
    });

    it('counts when the next URL is left out, because its probe is under way', async () => {
      const port = await ownPort();
      const failing = createServer((_request, response) => response.writeHead(500).end());
      failing.listen(port, '127.0.0.1');
      await once(failing, 'listening');
      const urls = [`http://127.0.0.1:${port}/gated-json/v1`];
      const settings = { breaker: { faults: 1, open_s: 2 } };
      await start(backend(['loading', ...urls], settings));
      expect((await ask()).status).toBe(500);
      const { probe_from = '' } = (await breaker(1)) ?? {};
      failing.close();
      failing.closeAllConnections();
      await once(failing, 'close');
      const again = await UpstreamProgram.start({ port });
      await reloaded(backend(['gated-500', ...urls], settings));
      await waitUntil(() => Date.now() > Date.parse(probe_from), { what: 'its probe is due' });
      const asking = [bench.router.post(CHAT), bench.router.post(CHAT)];
      await waitUntil(() => asked('gated-500') === 2, { what: 'both are asked' });
      expect(await breaker()).toBeUndefined();
      const probe = again.nextRequest();
      bench.upstream.release();
      const refused = await Promise.race(asking);
      expect([refused.status, await refused.text()]).toEqual([500, expect.any(String)]);
      expect(await breaker()).toMatchObject({ state: 'open', last_fault: 'failure' });
      // What is held can be released once it is there.
      await probe;
      again.release();
      expect((await Promise.all(asking)).map(({ status }) => status).sort()).toEqual([200, 500]);
      await again.kill();
    });
  });

  describe('a 429, or a 408, that asks to wait', () => {
    it.each(['status-429', 'status-408'])('puts a URL behind the others: %s', async (asking) => {
      await start(backend([asking, 'well']));
      expect(await askTimes(3)).toEqual(['1', '1', '1']);
      expect(asked(asking)).toBe(1);
      expect((await shown()).urls[0]).toMatchObject({
        breakers: [],
        cooling_until: expect.any(String),
      });
    });

    it('of the only URL is passed on each time: waiting is the client’s to decide', async () => {
      await start(backend(['status-429']));
      expect((await askTimes(3)).length).toBe(3);
      expect(asked('status-429')).toBe(3);
    });
  });

  describe('garbage', () => {
    it.each([
      ['pure repetition', 'repeats', 'pure_repetition'],
      ['an empty stream', 'empty-stream', 'empty_content'],
    ])('that is broken is a strike: %s', async (_name, behaviour, finding) => {
      await start(backend([behaviour, 'well']));
      await askTimes(5, STREAM);
      expect(await askTimes(1, STREAM)).toEqual(['1']);
      expect((await shown()).urls[0]).toMatchObject({
        breakers: [{ state: 'open' }],
        last_error: { class: finding },
      });
      const count = `sanctum_router_answer_findings_total{backend="council",finding="${finding}"}`;
      expect(await bench.router.metric(count)).toBe(5);
    });

    it('never costs anybody the only URL there is', async () => {
      await start(backend(['empty-stream']));
      expect(await askTimes(8, STREAM)).toEqual(Array(8).fill('0'));
      expect((await shown()).urls[0]).toMatchObject({
        breakers: [{ state: 'open', last_fault: 'garbage' }],
      });
    });

    it('of a raw text that was continued is counted and no strike', async () => {
      await start(backend(['empty-stream', 'well']));
      const body = JSON.stringify({ model: 'm', prompt: 'The end.', stream: true });
      const headers = { 'content-type': 'application/json' };
      for (let count = 0; count < 6; count++) {
        const url = `${bench.router.url}/v1/completions`;
        const answer = await fetch(url, { method: 'POST', headers, body });
        await answer.text();
        expect(answer.headers.get('x-sanctum-url-index')).toBe('0');
      }
      expect((await shown()).urls[0]?.breakers).toEqual([]);
      const sample = '{backend="council",finding="empty_content"}';
      expect(await bench.router.metric(`sanctum_router_answer_findings_total${sample}`)).toBe(6);
    });

    it('that is suspicious is counted and no strike', async () => {
      await start(backend(['thinks', 'well']));
      expect(await askTimes(6, STREAM)).toEqual(Array(6).fill('0'));
      expect((await shown()).urls[0]?.breakers).toEqual([]);
      const sample = '{backend="council",finding="think_tag_leak"}';
      expect(await bench.router.metric(`sanctum_router_answer_findings_total${sample}`)).toBe(6);
    });
  });

  describe('slowness', () => {
    it('injects a fault after so many slow answers in a row', async () => {
      const slow = { slow_threshold_s: 0.000_001, slow_trip_count: 2, breaker: { faults: 2 } };
      await start(backend(['well', NOWHERE], slow));
      await askTimes(4);
      expect((await shown()).urls[0]).toMatchObject({
        breakers: [{ state: 'open' }],
        last_error: { class: 'slow' },
      });
    });

    it('is measured whether or not there is a threshold', async () => {
      await start(backend(['well']));
      await ask(STREAM);
      const { urls, thresholds } = await shown();
      expect(urls[0]?.latency_ema_s).toBeGreaterThan(0);
      expect(thresholds).toMatchObject({ breaker_faults: 5, breaker_open_s: 30 });
      const sample = 'sanctum_router_backend_latency_ema_seconds{backend="council",url_index="0"}';
      expect(await bench.router.metric(sample)).toBeGreaterThan(0);
    });
  });

  describe('a daily budget', () => {
    it('is spent by what answers say they used, and then nobody is asked', async () => {
      await start(backend(['says-usage'], { daily_cap_completion_tokens: 80 }));
      expect((await ask(STREAM)).status).toBe(200);
      expect((await shown()).budget).toMatchObject({ used_tokens: 40, left_tokens: 40 });
      expect((await ask(STREAM)).status).toBe(200);
      const answer = await bench.router.post(STREAM);
      expect(answer.status).toBe(429);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await answer.json()).toMatchObject({ error: { code: 'budget_spent' } });
      expect(asked('says-usage')).toBe(2);
      expect(bench.router.logged('budget_spent')).toHaveLength(1);
      const left = 'sanctum_router_budget_remaining_tokens{backend="council"}';
      expect(await bench.router.metric(left)).toBe(0);
      expect(await bench.router.metric(left.replace('remaining', 'cap'))).toBe(80);
      expect(
        await bench.router.metric('sanctum_router_backend_tokens_out_total{backend="council"}'),
      ).toBe(80);
    });

    it('counts deltas where there is no usage, also of a client that left', async () => {
      await start(backend(['well'], { daily_cap_completion_tokens: 1_000 }));
      await ask(STREAM);
      expect((await shown()).budget?.used_tokens).toBe(2);
      await ask(CHAT);
      expect((await shown()).budget?.used_tokens).toBe(10);
      await reloaded(backend(['gated'], { daily_cap_completion_tokens: 1_000 }));
      const leave = new AbortController();
      const answer = await bench.router.post(STREAM, { signal: leave.signal });
      expect(answer.status).toBe(200);
      leave.abort();
      await waitUntil(async () => (await shown()).budget?.used_tokens === 11, {
        what: 'the token of the client that left is counted',
      });
    });

    it('counts the bytes of a plain answer without usage, four for a token', async () => {
      await start(backend(['says-no-usage'], { daily_cap_completion_tokens: 1_000 }));
      const answer = await bench.router.post(CHAT);
      const { choices } = (await answer.json()) as { choices: [{ message: { content: string } }] };
      const { content } = choices[0].message;
      expect(content.length).toBeGreaterThan(1_000);
      expect((await shown()).budget?.used_tokens).toBe(Math.ceil(content.length / 4));
    });

    it('that is spent is passed over for another backend', async () => {
      const cloud = backend(['says-usage'], { daily_cap_completion_tokens: 1 });
      const home = { url: bench.upstream.url('well') };
      await bench.start({ router: { default: 'home', backends: { cloud, home } } });
      await ask(STREAM);
      const answer = await bench.router.post(STREAM);
      await answer.text();
      expect(answer.headers.get('x-sanctum-backend')).toBe('home');
      const text = await (
        await bench.router.get('/v1/route?model=m', { headers: { accept: 'text/plain' } })
      ).text();
      expect(text).toMatch(/cloud matched by "m" but was passed over: budget spent until 20/);
    });
  });

  describe('what is kept', () => {
    let home: string;
    beforeEach(() => {
      home = mkdtempSync(join(tmpdir(), 'sanctum-router-health-'));
    });
    afterEach(async () => {
      // A router that stops writes what it keeps.
      await bench.stopRouter();
      rmSync(home, { recursive: true, force: true });
    });
    const council = (): object =>
      backend(['status-500', 'says-usage'], { daily_cap_completion_tokens: 1_000 });

    it('outlives a restart', async () => {
      await bench.start({ home, router: { backends: { council: council() } } });
      await askTimes(5, STREAM);
      await bench.router.stop();
      await bench.start({ home, router: { backends: { council: council() } } });
      const { urls, budget } = await shown();
      expect(urls[0]?.breakers).toMatchObject([{ model: 'm', state: 'open' }]);
      expect(urls[1]?.latency_ema_s).toBeGreaterThan(0);
      expect(budget).toMatchObject({ used_tokens: 200 });
      await ask(STREAM);
      expect(asked('status-500')).toBe(5);
    });

    it.each([
      ['torn', '{"version":1,"urls":[{"backend":"coun'],
      ['of another version', '{"version":9}'],
      [
        'wrong in one field',
        '{"version":1,"urls":[],"budgets":[{"scope":"x","day":1,"tokens":0}]}',
      ],
      ['no text', '\u0000\u0001\u0002'],
      ['empty', ''],
    ])('is set aside with one warning when it is %s', async (_name, text) => {
      const folder = join(home, 'state', 'router');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'health.json'), text);
      await bench.start({ home, router: { backends: { council: council() } } });
      expect((await ask(STREAM)).status).toBe(200);
      const warnings = bench.router.logs.filter(({ msg }) =>
        String(msg).startsWith('health_state_unreadable'),
      );
      expect(warnings).toHaveLength(1);
      expect(readdirSync(folder)).toContain('health.json.unreadable');
    });

    it('may be unwritable without costing an answer', async () => {
      mkdirSync(join(home, 'state'));
      writeFileSync(join(home, 'state', 'router'), 'a file where a folder should be');
      await bench.start({ home, router: { backends: { council: council() } } });
      await ask(STREAM);
      await waitUntil(() => bench.router.logged('health_state_not_kept').length === 1, {
        what: 'the log says that nothing is kept',
      });
      expect((await ask(STREAM)).status).toBe(200);
    });
  });
});
