import { describe, expect, it } from '@jest/globals';
import { parseInstance } from './load-instance.js';

const TIMEOUTS = { connect_s: 1, first_byte_s: 2, idle_s: 3 };

function parse(backend: object): ReturnType<typeof parseInstance> {
  const backends = { b: { url: 'http://127.0.0.1:1/v1', ...backend } };
  const text = JSON.stringify({ instance: { name: 'test' }, services: { router: { backends } } });
  return parseInstance(text, '/home/instance.yaml');
}

const fallback = (timeouts: object): object => ({
  fallback_urls: [{ url: 'http://127.0.0.1:2/v1', timeouts }],
});

describe('timeouts of the router', () => {
  it('are of a backend, and of one URL', () => {
    const backend = { timeouts: { ...TIMEOUTS, total_s: 9 }, ...fallback(TIMEOUTS) };
    expect(parse(backend).services.router?.backends['b']).toMatchObject(backend);
  });

  it('have a total of the backend alone, and say so', () => {
    expect(() => parse(fallback({ ...TIMEOUTS, total_s: 9 }))).toThrow(
      'services.router.backends.b.fallback_urls.0.timeouts.total_s: unknown key: expected one of ' +
        'connect_s, first_byte_s, idle_s (total_s is of the backend, for all URLs), found total_s',
    );
  });
});
