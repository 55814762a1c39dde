import { describe, expect, it } from '@jest/globals';
import { useRouterBench } from '../router-bench.fixture.js';

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'Say it on and on.' }] };
const ATTEMPTS = 'sanctum_router_backend_requests_total{backend="council"';

describe('an upstream that is still answering when the time of the request is over', () => {
  const bench = useRouterBench();

  async function start(): Promise<void> {
    const urls = {
      url: bench.upstream.url('endless'),
      fallback_urls: [bench.upstream.url('well')],
    };
    const council = { ...urls, timeouts: { total_s: 2 }, breaker: { faults: 1 } };
    await bench.start({ router: { backends: { council } } });
  }

  async function lastError(): Promise<unknown> {
    const { backends } = (await (await bench.router.get('/v1/backends')).json()) as {
      backends: [{ urls: [{ last_error: unknown; breakers: unknown }] }];
    };
    const [{ last_error, breakers }] = backends[0].urls;
    return { last_error, breakers };
  }

  it('was not silent: its stream ends with an event that says so, and nobody is to blame', async () => {
    await start();
    const text = await (await bench.router.post({ ...CHAT, stream: true })).text();
    const events = text.trimEnd().split('\n\n');
    expect(events.length).toBeGreaterThan(2);
    expect(JSON.parse(events.at(-1)?.slice('data: '.length) ?? '')).toMatchObject({
      error: {
        code: 'upstream_timeout',
        message:
          'Backend "council" was still answering when the time for the request (total_s) was over.',
      },
    });
    expect(await lastError()).toEqual({ last_error: null, breakers: [] });
    expect(await bench.router.metric(`${ATTEMPTS},outcome="deadline",class="neutral"}`)).toBe(1);
  });

  it('is given up within a plain answer, and nobody else is asked', async () => {
    await start();
    const answer = await bench.router.post(CHAT);
    expect(answer.status).toBe(504);
    expect(await answer.json()).toMatchObject({
      error: {
        code: 'upstream_timeout',
        message: 'No upstream of backend "council" answered (URL 0: deadline).',
      },
    });
    expect(await lastError()).toEqual({ last_error: null, breakers: [] });
    const asked = bench.upstream.requests.filter(({ method }) => method === 'POST');
    expect(asked.map(({ behaviour }) => behaviour)).toEqual(['endless']);
  });
});
