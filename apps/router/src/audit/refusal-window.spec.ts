import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { REFUSALS_LISTED_MAX, RefusalWindow } from './refusal-window.js';

/** A clock that is moved by hand. */
function windowAt() {
  let nowMs = 0;
  let due: { atMs: number; done: () => void } | undefined;
  const more: [string, number][] = [];
  const window = new RefusalWindow((kind, count) => more.push([kind, count]), {
    now: () => nowMs,
    after: (ms, done) => {
      due = { atMs: nowMs + ms, done };
      return () => (due = undefined);
    },
  });
  const pass = (ms: number): void => {
    nowMs += ms;
    if (due === undefined || due.atMs > nowMs) return;
    const { done } = due;
    due = undefined;
    done();
  };
  return { window, more, pass };
}

describe('a flood of refusals', () => {
  it('is ten lines a second of each kind, and one with the number of the others', () => {
    const { window, more, pass } = windowAt();
    const listed = Array.from({ length: 1_000 }, () => window.take('unauthorized'));
    expect(listed.filter(Boolean)).toHaveLength(REFUSALS_LISTED_MAX);
    expect(window.take('rate_limited')).toBe(true);
    expect(more).toEqual([]);
    pass(999);
    expect(more).toEqual([]);
    pass(1);
    expect(more).toEqual([['unauthorized', 990]]);
    expect(window.take('unauthorized')).toBe(true);
  });

  it('is told to the last when there is an end of it', () => {
    const { window, more, pass } = windowAt();
    for (let at = 0; at <= REFUSALS_LISTED_MAX; at += 1) window.take('unauthorized');
    window.flush();
    expect(more).toEqual([['unauthorized', 1]]);
    pass(5_000);
    expect(more).toHaveLength(1);
  });

  it('loses none, and lists no more than it may', () => {
    const step = fc.record({ waitMs: fc.nat(700), kind: fc.constantFrom('a', 'b') });
    fc.assert(
      fc.property(fc.array(fc.tuple(step, fc.nat(30))), (steps) => {
        const { window, more, pass } = windowAt();
        let [listed, taken] = [0, 0];
        for (const [{ waitMs, kind }, times] of steps) {
          pass(waitMs);
          for (let at = 0; at < times; at += 1) listed += window.take(kind) ? 1 : 0;
          taken += times;
        }
        window.flush();
        const counted = more.reduce((sum, [, count]) => sum + count, 0);
        expect(listed + counted).toBe(taken);
        const seconds = 1 + steps.reduce((sum, [{ waitMs }]) => sum + waitMs, 0) / 1_000;
        expect(listed).toBeLessThanOrEqual(2 * REFUSALS_LISTED_MAX * Math.ceil(seconds));
      }),
    );
  });
});
