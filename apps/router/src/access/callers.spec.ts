import { describe, expect, it } from '@jest/globals';
import { waitUntil } from '@sanctum/testing';
import { useRouterBench } from '../router-bench.fixture.js';
import type { TestRouter } from '../router.fixture.js';

const question = (model: string) => ({ model, messages: [{ role: 'user', content: 'hello' }] });

describe('what a caller may do', () => {
  const bench = useRouterBench();

  const section = (local: object): object => ({
    default: 'council',
    intent_keywords: { coder: ['debug'] },
    backends: {
      council: { url: bench.upstream.url('well'), models: ['m'] },
      coder: { url: bench.upstream.url('well'), models: ['c'] },
    },
    callers: { local },
  });
  const started = (local: object): Promise<TestRouter> => bench.start({ router: section(local) });
  const statusOf = async (model: string): Promise<number> => {
    const answer = await bench.router.post(question(model));
    await answer.text();
    return answer.status;
  };

  it('is everything for a caller that is not named', async () => {
    await bench.start({
      router: { ...section({}), callers: { canary: { backends: ['coder'] } } },
    });
    expect(await statusOf('m')).toBe(200);
    expect(await statusOf('c')).toBe(200);
  });

  it('ends at a backend it named and may not use', async () => {
    const { post } = await started({ backends: ['council'] });
    const answer = await post(question('c'));
    expect(answer.status).toBe(403);
    expect(await answer.json()).toMatchObject({
      error: {
        code: 'forbidden',
        message: '"local" may not use backend "coder"; it may use council.',
        source: 'router',
      },
    });
    expect(bench.upstream.requests).toHaveLength(0);
  });

  it('narrows what the router chooses by itself', async () => {
    const { post } = await started({ backends: ['council'] });
    const messages = [{ role: 'user', content: 'debug this' }];
    const answer = await post({ model: 'auto', messages });
    await answer.text();
    expect(answer.headers.get('x-sanctum-backend')).toBe('council');
  });

  it('ends for a minute after so many requests', async () => {
    const { post } = await started({ requests_per_minute: 3 });
    for (let sent = 0; sent < 3; sent += 1) expect(await statusOf('m')).toBe(200);
    const answer = await post(question('m'));
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await answer.json()).toMatchObject({ error: { code: 'rate_limited' } });
  });

  it('ends for today when its tokens are spent, whichever backend made them', async () => {
    const { get } = await started({ daily_cap_completion_tokens: 1 });
    expect(await statusOf('m')).toBe(200);
    await waitUntil(async () => (await statusOf('c')) === 429, { what: 'the budget is spent' });
    const { callers } = (await (await get('/v1/backends')).json()) as { callers: unknown[] };
    expect(callers).toEqual([
      { name: 'local', daily_cap_completion_tokens: 1, completion_tokens_left: 0 },
    ]);
  });

  it('changes with instance.yaml, and what is spent stays spent', async () => {
    const { rewrite } = await started({ daily_cap_completion_tokens: 1 });
    expect(await statusOf('m')).toBe(200);
    rewrite(section({ daily_cap_completion_tokens: 1, backends: ['coder'] }));
    const log = () => bench.router.logged('config_reloaded').length === 1;
    await waitUntil(log, { what: 'the change is taken over' });
    expect(await statusOf('c')).toBe(429);
    rewrite(section({ backends: ['coder'] }));
    await waitUntil(() => bench.router.logged('config_reloaded').length === 2, {
      what: 'and the next',
    });
    expect(await statusOf('c')).toBe(200);
    expect(await statusOf('m')).toBe(403);
  });
});
