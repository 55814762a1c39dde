import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isGlob, literalLength, matchesGlob } from './glob.js';

describe('matchesGlob', () => {
  it.each([
    ['*', '', true],
    ['code-*', 'code-', true],
    ['code-*', 'xcode-1', false],
    ['*coder*', 'qwen-coder-7b', true],
    ['gpt-?', 'gpt-4', true],
    ['gpt-?', 'gpt-', false],
    ['a.c', 'abc', false],
    ['a*b*c', 'aXbYbZc', true],
    ['a*b*c', 'aXbYbZ', false],
  ])('%s against %s is %s', (pattern, name, expected) => {
    expect(matchesGlob(pattern, name)).toBe(expected);
  });

  it('agrees with a regular expression', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 });
    const glob = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?'), maxLength: 8 });
    fc.assert(
      fc.property(glob, text, (pattern, name) => {
        const source = pattern.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.');
        expect(matchesGlob(pattern, name)).toBe(new RegExp(`^${source}$`).test(name));
      }),
    );
  });

  it('answers a hostile pattern without backtracking', () => {
    expect(matchesGlob('*a'.repeat(50) + 'b', 'a'.repeat(5_000))).toBe(false);
  });

  it('measures how specific a pattern is', () => {
    expect(isGlob('abc')).toBe(false);
    expect(isGlob('a?c')).toBe(true);
    expect(literalLength('a*b?')).toBe(2);
  });
});
