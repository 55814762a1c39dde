import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { StopBuffer } from './stop-buffer.js';
import { cutAtStop } from './testing/oracle.js';

function through(stop: readonly string[], pushes: readonly string[]): [string, boolean] {
  const buffer = new StopBuffer(stop);
  let text = '';
  for (const push of pushes) {
    const result = buffer.push(push);
    text += result.text;
    if (result.stopped) return [text, true];
  }
  return [text + buffer.flush(), false];
}

describe('StopBuffer', () => {
  it('holds back only what may become a stop sequence', () => {
    const buffer = new StopBuffer(['END']);
    expect(buffer.push('the E')).toEqual({ text: 'the ', stopped: false });
    expect(buffer.push('N')).toEqual({ text: '', stopped: false });
    expect(buffer.push('d')).toEqual({ text: 'ENd', stopped: false });
    expect(buffer.push('xEND and more')).toEqual({ text: 'x', stopped: true });
  });

  it('gives what it holds at the end', () => {
    const buffer = new StopBuffer(['END']);
    buffer.push('the EN');
    expect(buffer.flush()).toBe('EN');
    expect(buffer.flush()).toBe('');
  });

  it('passes everything without stop sequences', () => {
    expect(new StopBuffer([]).push('abc')).toEqual({ text: 'abc', stopped: false });
  });

  it('cuts at the same place however the text is cut into pushes', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(
        fc.array(letters, { maxLength: 4 }),
        fc.array(letters, { maxLength: 30 }),
        (stop, pushes) => {
          const all = pushes.join('');
          const cut = cutAtStop(all, stop);
          expect(through(stop, pushes)).toEqual([cut ?? all, cut !== undefined]);
          expect(through(stop, Array.from(all))).toEqual([cut ?? all, cut !== undefined]);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
