import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { COOL_DOWN_MS_MIN, coolDownMs, DEFAULT_COOL_DOWN } from './retry-after.js';

const NOW = Date.parse('Fri, 31 Dec 1999 23:59:00 GMT');
const wait = (value: string | undefined): number => coolDownMs(value, DEFAULT_COOL_DOWN, NOW);

describe('coolDownMs', () => {
  it.each([
    ['7', 7_000],
    [' 7 ', 7_000],
    ['1.5', 1_500],
    ['0', COOL_DOWN_MS_MIN],
    ['3600', 300_000],
    ['99999999999', 5_000],
    ['Fri, 31 Dec 1999 23:59:30 GMT', 30_000],
    ['Friday, 31-Dec-99 23:59:30 GMT', 30_000],
    ['Fri Dec 31 23:59:30 1999', 30_000],
    ['Fri, 31 Dec 1999 23:00:00 GMT', COOL_DOWN_MS_MIN],
    ['Sat, 31 Dec 2050 23:59:30 GMT', 300_000],
    ['soon', 5_000],
    ['-3', 5_000],
    ['', 5_000],
    [undefined, 5_000],
  ])('%j is %d ms', (value, expected) => {
    expect(wait(value)).toBe(expected);
  });

  it('is within its limits for anything', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.integer().map(String)), (value) => {
        expect(wait(value)).toBeGreaterThanOrEqual(COOL_DOWN_MS_MIN);
        expect(wait(value)).toBeLessThanOrEqual(DEFAULT_COOL_DOWN.maxMs);
      }),
    );
  });
});
