import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RateLimit } from './rate-limit.js';

describe('RateLimit', () => {
  it('lets a burst of a minute through, then one at a time', () => {
    const limit = new RateLimit(60);
    for (let sent = 0; sent < 60; sent += 1) expect(limit.take(0)).toBe(0);
    expect(limit.take(0)).toBe(1_000);
    expect(limit.take(999)).toBe(1);
    expect(limit.take(1_000)).toBe(0);
    expect(limit.take(1_000)).toBe(1_000);
  });

  it('never lets more through than the burst and what the time adds', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 300 }),
        (perMinute, pausesMs) => {
          const limit = new RateLimit(perMinute);
          let nowMs = 1_000;
          let admitted = 0;
          for (const pauseMs of pausesMs) {
            nowMs += pauseMs;
            if (limit.take(nowMs) === 0) admitted += 1;
          }
          const added = ((nowMs - 1_000) * perMinute) / 60_000;
          expect(admitted).toBeLessThanOrEqual(perMinute + added + 1e-6);
        },
      ),
    );
  });

  it('admits again after the time it named', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), (perMinute) => {
        const limit = new RateLimit(perMinute);
        let waitMs = 0;
        while (waitMs === 0) waitMs = limit.take(5_000);
        expect(limit.take(5_000 + waitMs)).toBe(0);
      }),
    );
  });

  it('gives nothing for a clock that is set back', () => {
    const limit = new RateLimit(1);
    expect(limit.take(100_000)).toBe(0);
    expect(limit.take(0)).toBeGreaterThan(0);
  });
});
