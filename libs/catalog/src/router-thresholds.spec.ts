import { describe, expect, it } from '@jest/globals';
import { parseInstance } from './load-instance.js';

function parse(router: object): ReturnType<typeof parseInstance> {
  const backends = { b: { url: 'http://127.0.0.1:1/v1' } };
  const text = JSON.stringify({
    instance: { name: 'test' },
    services: { router: { backends, ...router } },
  });
  return parseInstance(text, '/home/instance.yaml');
}

const backend = (more: object): object => ({
  backends: { b: { url: 'http://127.0.0.1:1/v1', ...more } },
});

describe('thresholds of the router', () => {
  it('are taken at both ends of their range', () => {
    for (const [faults, open_s, repetition_chars, tiny_bytes] of [
      [1, 0.05, 128, 0],
      [1_000, 86_400, 4_096, 64],
    ]) {
      const detectors = { repetition_chars, tiny_bytes };
      const { router } = parse({ breaker: { faults, open_s }, detectors }).services;
      expect(router).toMatchObject({ breaker: { faults, open_s }, detectors });
    }
    const own = { breaker: { faults: 2 }, slow_threshold_s: 15, slow_trip_count: 3 };
    expect(parse(backend(own)).services.router?.backends['b']).toMatchObject(own);
  });

  it.each<[string, object, string]>([
    ['no fault', { breaker: { faults: 0 } }, 'services.router.breaker.faults'],
    ['part of a fault', { breaker: { faults: 1.5 } }, 'services.router.breaker.faults'],
    ['no time', { breaker: { open_s: 0 } }, 'services.router.breaker.open_s'],
    ['more than a day', { cool_down: { max_s: 86_401 } }, 'services.router.cool_down.max_s'],
    ['a word', { cool_down: { default_s: 'long' } }, 'services.router.cool_down.default_s'],
    [
      'too short a repetition',
      { detectors: { repetition_chars: 127 } },
      'services.router.detectors.repetition_chars',
    ],
    [
      'bytes below nothing',
      { detectors: { tiny_bytes: -1 } },
      'services.router.detectors.tiny_bytes',
    ],
    ['an unknown threshold', { breaker: { failures: 3 } }, 'services.router.breaker'],
    [
      'no token',
      backend({ daily_cap_completion_tokens: 0 }),
      'services.router.backends.b.daily_cap_completion_tokens',
    ],
    ['no trip', backend({ slow_trip_count: 0 }), 'services.router.backends.b.slow_trip_count'],
  ])('are refused with their path: %s', (_name, router, path) => {
    let message = '';
    try {
      parse(router);
    } catch (error) {
      message = String((error as { message?: unknown }).message);
    }
    expect(message).toContain(path);
    expect(message).toMatch(/expected/i);
    expect(message).toMatch(/found/i);
  });
});
