import { describe, expect, it } from '@jest/globals';
import { useRouterBench } from '../router-bench.fixture.js';

const PATHS = ['/v1/chat/completions', '/v1/completions', '/v1/messages', '/v1/responses'];

describe('what is looked at for garbage', () => {
  const bench = useRouterBench();

  it.each(['OPTIONS', 'HEAD', 'GET'])('is no answer to %s: none is a strike', async (method) => {
    const main = { url: bench.upstream.url('status-204'), breaker: { faults: 1 } };
    await bench.start({ router: { backends: { main } } });
    for (const path of PATHS) {
      const answer = await bench.router.get(path, { method });
      expect([answer.status, await answer.text()]).toEqual([204, '']);
    }
    const { backends } = (await (await bench.router.get('/v1/backends')).json()) as {
      backends: [{ urls: [{ breakers: unknown; last_error: unknown }] }];
    };
    expect(backends[0].urls[0]).toMatchObject({ breakers: [], last_error: null });
    const sample = '{backend="main",finding="empty_content"}';
    expect(await bench.router.metric(`sanctum_router_answer_findings_total${sample}`)).toBe(0);
  });
});
