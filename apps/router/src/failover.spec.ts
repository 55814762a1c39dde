import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { UpstreamProgram } from '@sanctum/testing';
import { ownPort } from './own-port.fixture.js';
import { startTestRouter, type TestRouter } from './router.fixture.js';

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'What is 2+2?' }] };
const STREAM = { ...CHAT, stream: true };
/** Nothing listens there: port 1 is reserved. */
const NOWHERE = 'http://127.0.0.1:1/v1';
/** For upstreams that never say anything. */
const IMPATIENT = { first_byte_s: 0.5, idle_s: 0.5 };
/** For one that answers: what a busy machine delays must not look like silence. */
const PATIENT = { first_byte_s: 60, idle_s: 60 };

describe('failover', () => {
  let upstream: UpstreamProgram;
  let router: TestRouter | undefined;
  beforeAll(async () => {
    upstream = await UpstreamProgram.start();
  });
  afterAll(() => upstream.kill());
  beforeEach(() => {
    upstream.requests.length = 0;
  });
  afterEach(async () => {
    await router?.stop();
    router = undefined;
  });

  async function between(urls: string[], timeouts: object = {}): Promise<TestRouter> {
    const [url, ...others] = urls.map((name) =>
      name.startsWith('http') ? name : upstream.url(name),
    );
    const fallback_urls = others.map((other) =>
      other === upstream.url('well') ? { url: other, timeouts: PATIENT } : other,
    );
    const council = { url, fallback_urls, models: ['m'], timeouts };
    router = await startTestRouter({ router: { backends: { council } } });
    return router;
  }

  const behaviours = (): string[] => upstream.requests.map(({ behaviour }) => behaviour);

  describe.each([
    ['a refused connection', NOWHERE, 'ECONNREFUSED'],
    ['500', 'status-500', 'status_500'],
    ['503', 'status-503', 'status_503'],
    ['529', 'status-529', 'status_529'],
    ['429', 'status-429', 'status_429'],
    ['408', 'status-408', 'status_408'],
    ['an HTML error page', 'html', 'status_502'],
    ['an error body without end', 'huge-error', 'status_500'],
    ['an upstream that is loading', 'loading', 'status_503'],
    ['an upstream that says nothing', 'stall', 'stall'],
    ['a stream without content', 'stall-after-preamble', 'stall'],
    ['a death before content', 'die-before-content', 'UND_ERR_SOCKET'],
    ['a death before the answer', 'die-before-answer', 'UND_ERR_SOCKET'],
    ['an error event before content', 'error-event', 'stream_error'],
    ['a death within a plain answer', 'die-in-json', 'UND_ERR_SOCKET'],
  ])('%s', (_name, primary, errorClass) => {
    it('goes to the fallback without the client noticing', async () => {
      const { post, logged, failovers } = await between(
        [primary, 'well'],
        errorClass === 'stall' ? IMPATIENT : {},
      );
      const answer = await post(STREAM);
      expect(answer.status).toBe(200);
      expect(await answer.text()).toMatch(/2 \+ 2 .*equals 4\..*\[DONE\]\n\n$/s);
      expect(answer.headers.get('x-sanctum-url-index')).toBe('1');
      expect(behaviours().filter((name) => name === 'well')).toHaveLength(1);
      const url = primary.startsWith('http') ? primary : upstream.url(primary);
      expect(logged('failed over from primary')).toEqual([
        expect.objectContaining({
          backend: 'council',
          url,
          winning_url: upstream.url('well'),
          error_class: errorClass,
        }),
      ]);
      expect(logged('failover_attempt')[0]).toMatchObject({ url, error_class: errorClass });
      expect(failovers).toEqual([
        expect.objectContaining({ url, winningUrl: upstream.url('well'), errorClass, attempts: 2 }),
      ]);
    });
  });

  it.each([400, 401, 403, 404, 422])('%d is returned at once', async (status) => {
    const { post, logged } = await between([`status-${status}`, 'well']);
    const answer = await post(CHAT);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toEqual({
      error: {
        message: `upstream says ${status}`,
        type: 'upstream_error',
        code: `s${status}`,
        param: null,
        source: 'council',
      },
    });
    expect(behaviours()).toEqual([`status-${status}`]);
    expect(logged('failover_attempt')).toEqual([]);
  });

  it('is not sticky: the next request starts at the primary', async () => {
    const { post } = await between(['status-500', 'well']);
    await (await post(CHAT)).text();
    await (await post(CHAT)).text();
    expect(behaviours()).toEqual(['status-500', 'well', 'status-500', 'well']);
  });

  it('tries URLs in order, however many fail', async () => {
    const { post, metric } = await between([NOWHERE, 'status-500', 'html', 'well']);
    const answer = await post(CHAT);
    expect(answer.headers.get('x-sanctum-url-index')).toBe('3');
    expect(behaviours()).toEqual(['status-500', 'html', 'well']);
    expect(await metric('sanctum_router_backend_fallback_total{backend="council"}')).toBe(1);
    const faults = 'sanctum_router_backend_requests_total{backend="council",outcome="answered"';
    expect(await metric(`${faults},class="target_fault"}`)).toBe(2);
  });

  it('sends a request again on a connection that had gone stale, to the same URL', async () => {
    const { post, failovers, logged } = await between(['close-second', 'well']);
    await (await post(CHAT)).text();
    const second = await post(CHAT);
    expect(second.status).toBe(200);
    expect(second.headers.get('x-sanctum-url-index')).toBe('0');
    expect(behaviours()).toEqual(['close-second', 'close-second', 'close-second']);
    expect(logged('failover_attempt')).toHaveLength(1);
    expect(failovers).toEqual([]);
  });

  describe('when no URL answers well', () => {
    it('shows the last 429, because waiting helps', async () => {
      const { post } = await between(['status-500', 'status-429', 'status-503']);
      const answer = await post(CHAT);
      expect(answer.status).toBe(429);
      expect(answer.headers.get('retry-after')).toBe('7');
      expect(answer.headers.get('x-sanctum-url-index')).toBe('1');
    });

    it('shows the last error there was', async () => {
      const { post } = await between(['status-500', 'loading', NOWHERE]);
      const answer = await post(CHAT);
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '3']);
      expect(await answer.json()).toMatchObject({ error: { code: 'loading', source: 'council' } });
    });

    it('answers 502 with what was tried, and no address', async () => {
      const { post, logged } = await between([NOWHERE, 'die-before-answer']);
      const answer = await post(CHAT);
      expect(answer.status).toBe(502);
      const { error } = (await answer.json()) as { error: { message: string } };
      expect(error).toMatchObject({ code: 'upstream_failed', source: 'router' });
      expect(error.message).toBe(
        'No upstream of backend "council" answered (URL 0: ECONNREFUSED, URL 1: UND_ERR_SOCKET).',
      );
      expect(logged('no upstream answered')).toHaveLength(1);
    });

    it('answers 504 when they were silent', async () => {
      const { post } = await between(['stall', 'stall-after-preamble'], IMPATIENT);
      const answer = await post(STREAM);
      expect(answer.status).toBe(504);
      expect(await answer.json()).toMatchObject({ error: { code: 'upstream_timeout' } });
    });

    it('ends at the total deadline, whatever URLs are left', async () => {
      const { post } = await between(['stall', 'stall', 'stall'], { total_s: 2 });
      const asked = upstream.nextRequest();
      const answer = await post(STREAM);
      expect(answer.status).toBe(504);
      await asked;
      expect(behaviours()).toEqual(['stall']);
    });

    it('makes an envelope of an HTML page, a bare string and a body without end', async () => {
      for (const [name, status] of [
        ['html', 502],
        ['string-error', 404],
        ['huge-error', 500],
      ] as const) {
        const { post, stop } = await between([name]);
        const answer = await post(CHAT);
        expect(answer.status).toBe(status);
        expect(answer.headers.get('content-type')).toBe('application/json');
        const body = (await answer.json()) as object;
        expect(body).toMatchObject({ error: { code: `upstream_${status}`, source: 'council' } });
        await stop();
      }
      router = undefined;
    });
  });

  describe('after the first content', () => {
    it.each([
      ['breaks off', 'die-midway', 'upstream_failed', {}],
      ['goes silent', 'stall-midway', 'upstream_timeout', { idle_s: 0.5 }],
    ])('a stream that %s ends with one error event and no [DONE]', async (...row) => {
      const [, primary, code, timeouts] = row;
      const { post, failovers } = await between([primary, 'well'], timeouts);
      const text = await (await post(STREAM)).text();
      const events = text.trimEnd().split('\n\n');
      expect(events).toHaveLength(2);
      expect(events[0]).toContain('"content":"token "');
      expect(JSON.parse(events[1]?.slice('data: '.length) ?? '')).toMatchObject({
        error: { code, source: 'router' },
      });
      expect(text).not.toContain('[DONE]');
      expect(behaviours()).toEqual([primary]);
      expect(failovers).toEqual([]);
    });

    it('a plain answer too long to hold back is cut off, so that it is not taken for whole', async () => {
      const { post } = await between(['die-in-large-json', 'well']);
      const answer = await post(CHAT);
      await expect(answer.text()).rejects.toThrow();
      expect(behaviours()).toEqual(['die-in-large-json']);
    });
  });

  it('fails over when the primary process is killed', async () => {
    const primary = await UpstreamProgram.start({ port: await ownPort() });
    const { post } = await between([primary.url('well'), 'well']);
    expect((await post(CHAT)).headers.get('x-sanctum-url-index')).toBe('0');
    await primary.kill();
    const answers = await Promise.all([post(CHAT), post(STREAM), post(CHAT)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(answers.map(({ headers }) => headers.get('x-sanctum-url-index'))).toEqual([
      '1',
      '1',
      '1',
    ]);
    await Promise.all(answers.map((answer) => answer.text()));
  });
});
