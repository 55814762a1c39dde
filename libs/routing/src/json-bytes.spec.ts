import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { exceedsJsonElements } from './json-bytes.js';

const exceeds = (text: string, max: number): boolean =>
  exceedsJsonElements(new TextEncoder().encode(text), max);

describe('exceedsJsonElements', () => {
  it.each([
    ['{}', 1],
    ['[1,2,3]', 3],
    ['{"a":[{},{}]}', 5],
    ['{"a":"[,{\\"[,{"}', 1],
  ])('%s holds %d', (text, elements) => {
    expect(exceeds(text, elements)).toBe(false);
    expect(exceeds(text, elements - 1)).toBe(true);
  });

  it('bounds what parsing makes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(exceeds(JSON.stringify(value), count(value))).toBe(false);
      }),
    );
  });

  it('ends on text that is no JSON', () => {
    expect(exceeds('{"never closed', 5)).toBe(false);
    expect(exceeds('\\"', 0)).toBe(false);
  });
});

function count(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inner = Object.values(value);
  return inner.reduce<number>((sum, each) => sum + count(each), 1 + inner.length);
}
