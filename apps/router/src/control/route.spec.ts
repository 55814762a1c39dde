import { describe, expect, it } from '@jest/globals';
import { useRouterBench } from '../router-bench.fixture.js';

interface Explained {
  readonly decision: { readonly backend?: string; readonly steps: readonly object[] };
  readonly explanation: readonly string[];
  readonly refusal: { readonly code: string; readonly message: string } | null;
  readonly upstreams: readonly { readonly url: string }[];
}

describe('/v1/route', () => {
  const bench = useRouterBench();

  async function started(local: object, more: object = {}): Promise<void> {
    const url = bench.upstream.url('well');
    await bench.start({
      router: {
        default: 'council',
        intent_keywords: { coder: ['debug'], poet: ['verse'] },
        backends: { council: { url, models: ['m'] }, coder: { url, models: ['c'] }, poet: { url } },
        callers: { local },
        ...more,
      },
    });
  }

  /** What a request gets, and what is said of it. */
  async function compared(model: string, prompt: string) {
    const { get, post } = bench.router;
    const asked = `/v1/route?${new URLSearchParams({ model, prompt }).toString()}`;
    const explained = (await (await get(asked)).json()) as Explained;
    const words = await (await get(asked, { headers: { accept: 'text/plain' } })).text();
    const answer = await post({ model, messages: [{ role: 'user', content: prompt }] });
    const body = (await answer.json()) as { error?: { code: string; message: string } };
    const backend = answer.headers.get('x-sanctum-backend');
    return { explained, words, status: answer.status, backend, error: body.error };
  }

  it.each([
    ['debug this', 'council', 'intent: coder matched by "debug" but was passed over'],
    ['a verse', 'poet', 'intent: poet matched by "verse".'],
    ['hello', 'council', 'default: council.'],
  ])('tells a caller what its request gets: %s', async (prompt, backend, words) => {
    await started({ backends: ['council', 'poet'] });
    const seen = await compared('auto', prompt);
    expect([seen.status, seen.backend]).toEqual([200, backend]);
    expect(seen.explained.decision.backend).toBe(backend);
    expect(seen.explained.refusal).toBeNull();
    expect(seen.explained.upstreams).toMatchObject([{ url: bench.upstream.url('well') }]);
    expect(seen.words).toContain(words);
    expect(seen.words).toContain(`Routed to ${backend}`);
  });

  it.each([
    ['a backend it named', 'c', ['council'], '"local" may not use backend "coder"'],
    ['a default that was all there is', 'auto', ['coder'], '"local" may not use backend "council"'],
  ])('tells a caller that it may not use %s', async (...row) => {
    const [, model, backends, words] = row;
    await started({ backends });
    const seen = await compared(model, 'hello');
    expect([seen.status, seen.error?.code]).toEqual([403, 'forbidden']);
    const { code, message } = seen.error ?? { code: '', message: '' };
    expect(message).toContain(words);
    expect(seen.explained).toMatchObject({ refusal: { code, message }, upstreams: [] });
    expect(seen.explained.explanation.at(-1)).toBe(`Refused: ${message}`);
    expect(seen.words).toMatch(/\nRefused: "local" may not use .*\n$/);
  });

  it('tells of a name that nobody serves', async () => {
    await started({}, { strict_models: true });
    const seen = await compared('nobody', 'hello');
    expect([seen.status, seen.error?.code]).toEqual([404, 'model_not_found']);
    expect(seen.explained).toMatchObject({
      refusal: { code: 'model_not_found', message: 'Refused: no backend serves "nobody".' },
      upstreams: [],
    });
  });
});
