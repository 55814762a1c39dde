import { describe, expect, it } from '@jest/globals';
import { useRouterBench } from '../router-bench.fixture.js';

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'What is 2+2?' }] };

describe('a first_byte_s that the operator set', () => {
  const bench = useRouterBench();
  const impatient = { first_byte_s: 0.3 };
  const patient = { first_byte_s: 60 };

  async function asked(council: object, body: object): Promise<Response> {
    const { post } = await bench.start({ router: { backends: { council } } });
    return post(body);
  }

  it.each([
    ['streamed', { ...CHAT, stream: true }],
    ['that comes whole', CHAT],
  ])('moves an answer %s on from a URL that hangs', async (_name, body) => {
    const { upstream } = bench;
    const council = {
      url: upstream.url('stall'),
      fallback_urls: [
        { url: upstream.url('stall') },
        { url: upstream.url('well'), timeouts: patient },
      ],
      timeouts: impatient,
    };
    const answer = await asked(council, body);
    expect([answer.status, answer.headers.get('x-sanctum-url-index')]).toEqual([200, '2']);
    await answer.text();
  });

  it('holds at the only URL', async () => {
    const council = { url: bench.upstream.url('stall'), timeouts: impatient };
    const answer = await asked(council, CHAT);
    expect(answer.status).toBe(504);
    expect(await answer.json()).toMatchObject({ error: { code: 'upstream_timeout' } });
  });

  it('may be of one URL alone', async () => {
    const { upstream } = bench;
    const council = {
      url: upstream.url('status-503'),
      fallback_urls: [{ url: upstream.url('stall'), timeouts: impatient }, upstream.url('well')],
    };
    expect((await asked(council, CHAT)).headers.get('x-sanctum-url-index')).toBe('2');
  });
});

describe('/v1/backends', () => {
  const bench = useRouterBench();

  it('shows how long a first byte is waited for, streamed and whole', async () => {
    const { upstream } = bench;
    const url = upstream.url('well');
    const set = { url, timeouts: { first_byte_s: 5 } };
    const backends = {
      said: { ...set, fallback_urls: [url, { url, timeouts: { first_byte_s: 7 } }] },
      unsaid: { url, fallback_urls: [url] },
      short: { url, timeouts: { first_byte_s: 5, total_s: 2 } },
    };
    const { get } = await bench.start({ router: { backends, default: 'said' } });
    const shown = (await (await get('/v1/backends')).json()) as {
      backends: { urls: { first_byte_s: number; first_byte_whole_s: number }[] }[];
    };
    const waits = shown.backends.map(({ urls }) =>
      urls.map(({ first_byte_s, first_byte_whole_s }) => [first_byte_s, first_byte_whole_s]),
    );
    expect(waits).toEqual([
      [
        [5, 5],
        [5, 5],
        [7, 7],
      ],
      [
        [60, 300],
        [120, 600],
      ],
      [[2, 2]],
    ]);
  });
});
