import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { opensReasoning, ReasoningSplit, type SplitText } from './reasoning-split.js';

function through(pushes: readonly string[]): SplitText {
  const split = new ReasoningSplit();
  const parts = pushes.map((text) => split.push(text));
  parts.push({ reasoning: split.flush(), content: '' });
  return {
    reasoning: parts.map(({ reasoning }) => reasoning).join(''),
    content: parts.map(({ content }) => content).join(''),
  };
}

describe('ReasoningSplit', () => {
  it.each([
    ['two and two\n</think>\n\n4', 'two and two', '4'],
    ['a</think>b', 'a', 'b'],
    ['</think>\n4\n\n', '', '4\n\n'],
    ['never closed\n</thin', 'never closed\n</thin', ''],
    ['a\n</think>\n\n</think> b', 'a', '</think> b'],
    ['1 < 2 </ 3\n\n</think>4', '1 < 2 </ 3\n', '4'],
    ['\n</think', '\n</think', ''],
    ['', '', ''],
  ])('parts %j', (text, reasoning, content) => {
    expect(through([text])).toEqual({ reasoning, content });
    expect(through(Array.from(text))).toEqual({ reasoning, content });
  });

  it('parts at the same place however the text is cut into pushes', () => {
    const piece = fc.constantFrom('<', '/', '</', 'think', '>', '</think>', '\n', 'a', '');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pushes) => {
        expect(through(pushes)).toEqual(through([pushes.join('')]));
      }),
      { numRuns: 1000 },
    );
  });

  it('holds nothing that cannot become the tag', () => {
    const split = new ReasoningSplit();
    expect(split.push('so ')).toEqual({ reasoning: 'so ', content: '' });
    expect(split.push('a <')).toEqual({ reasoning: 'a ', content: '' });
    expect(split.push(' b')).toEqual({ reasoning: '< b', content: '' });
  });
});

describe('opensReasoning', () => {
  it.each([
    ['<|im_start|>assistant\n<think>\n', true],
    ['<|im_start|>assistant\n<think>\n\n</think>\n\n', false],
    ['<|im_start|>assistant\n', false],
  ])('%j: %s', (prompt, expected) => {
    expect(opensReasoning(prompt)).toBe(expected);
  });
});
