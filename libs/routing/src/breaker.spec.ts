import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BREAKERS_PER_URL_MAX, BreakerBook } from './breaker-book.js';
import {
  afterResult,
  breakerStanding,
  CLOSED_BREAKER,
  FAULT_KINDS,
  startProbe,
  type BreakerResult,
  type BreakerSettings,
  type BreakerState,
  type Passage,
} from './breaker.js';
import type { OutcomeClass } from './outcome.js';

const SETTINGS: BreakerSettings = { faultsMax: 5, openMs: 30_000 };

function result(
  outcomeClass: OutcomeClass,
  nowMs: number,
  passage: Passage = 'normal',
): BreakerResult {
  return { outcomeClass, nowMs, passage, fault: 'failure' };
}

function afterFaults(count: number, nowMs = 0): BreakerState {
  let state = CLOSED_BREAKER;
  for (let index = 0; index < count; index++) {
    state = afterResult(state, SETTINGS, result('target_fault', nowMs));
  }
  return state;
}

describe('breaker', () => {
  it('opens at the fifth consecutive fault', () => {
    expect(afterFaults(4)).toEqual({ kind: 'closed', faults: 4 });
    expect(afterFaults(5)).toEqual({ kind: 'open', sinceMs: 0, lastFault: 'failure' });
  });

  it('begins to count anew after a success, and only after a success', () => {
    const four = afterFaults(4);
    expect(afterResult(four, SETTINGS, result('success', 0))).toEqual(CLOSED_BREAKER);
    expect(afterResult(four, SETTINGS, result('neutral', 0))).toBe(four);
    expect(afterResult(four, SETTINGS, result('request_fault', 0))).toBe(four);
  });

  it('is open for thirty seconds, then lets one probe pass', () => {
    const open = afterFaults(5, 1_000);
    expect(breakerStanding(open, SETTINGS, 30_999)).toBe('open');
    expect(breakerStanding(open, SETTINGS, 31_000)).toBe('probe_due');
    const probing = startProbe(open, 31_000);
    expect(breakerStanding(probing, SETTINGS, 31_001)).toBe('open');
    const back = afterResult(probing, SETTINGS, result('success', 32_000, 'probe'));
    expect(back).toEqual(CLOSED_BREAKER);
    const again = afterResult(probing, SETTINGS, result('target_fault', 32_000, 'probe'));
    expect(breakerStanding(again, SETTINGS, 61_999)).toBe('open');
    expect(breakerStanding(again, SETTINGS, 62_000)).toBe('probe_due');
  });

  it.each<OutcomeClass>(['neutral', 'request_fault'])('%s gives the probe back', (outcomeClass) => {
    const probing = startProbe(afterFaults(5), 30_000);
    const released = afterResult(probing, SETTINGS, result(outcomeClass, 30_100, 'probe'));
    expect(breakerStanding(released, SETTINGS, 30_100)).toBe('probe_due');
  });

  it('lets another probe pass when one never reports', () => {
    const probing = startProbe(afterFaults(5), 30_000);
    expect(breakerStanding(probing, SETTINGS, 59_999)).toBe('open');
    expect(breakerStanding(probing, SETTINGS, 60_000)).toBe('probe_due');
  });

  it('does not close for what was under way when it opened', () => {
    const open = afterFaults(5);
    expect(afterResult(open, SETTINGS, result('success', 10))).toBe(open);
    const probing = startProbe(open, 30_000);
    expect(afterResult(probing, SETTINGS, result('success', 30_001))).toBe(probing);
    expect(afterResult(probing, SETTINGS, result('target_fault', 30_001))).toBe(probing);
  });

  it('closes for a last resort that was answered, and is not held open by one that was not', () => {
    const open = afterFaults(5);
    const tried = (outcomeClass: OutcomeClass) =>
      afterResult(open, SETTINGS, result(outcomeClass, 9, 'last_resort'));
    expect(tried('success')).toEqual(CLOSED_BREAKER);
    expect(tried('target_fault')).toBe(open);
  });

  it('is not held open by a clock that was set back', () => {
    expect(breakerStanding(afterFaults(5, 1_000_000), SETTINGS, 0)).toBe('probe_due');
  });

  it.each(FAULT_KINDS)('remembers what opened it: %s', (fault) => {
    const fifth = { ...result('target_fault', 7), fault };
    const open = afterResult(afterFaults(4), SETTINGS, fifth);
    expect(open).toEqual({ kind: 'open', sinceMs: 7, lastFault: fault });
    expect(startProbe(open, 30_007)).toMatchObject({ lastFault: fault });
  });

  /** The reference keeps the whole history and asks it, instead of a state. */
  it('agrees with a reference that reads the history', () => {
    const step = fc.record({
      wait: fc.constantFrom(0, 1, 10_000, 29_999, 30_000),
      outcome: fc.constantFrom<OutcomeClass>('success', 'target_fault', 'neutral', 'request_fault'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let state = CLOSED_BREAKER;
        let nowMs = 0;
        const history: { outcome: OutcomeClass; atMs: number; probe: boolean }[] = [];
        for (const { wait, outcome } of steps) {
          nowMs += wait;
          const expected = standingByHistory(history, nowMs);
          expect(breakerStanding(state, SETTINGS, nowMs)).toBe(expected);
          if (expected === 'open') continue;
          const passage: Passage = expected === 'probe_due' ? 'probe' : 'normal';
          if (passage === 'probe') state = startProbe(state, nowMs);
          state = afterResult(state, SETTINGS, result(outcome, nowMs, passage));
          history.push({ outcome, atMs: nowMs, probe: passage === 'probe' });
        }
      }),
    );
  });
});

function standingByHistory(
  history: readonly { outcome: OutcomeClass; atMs: number; probe: boolean }[],
  nowMs: number,
): string {
  const telling = history.filter(
    ({ outcome }) => outcome === 'success' || outcome === 'target_fault',
  );
  const lastSuccess = telling.findLastIndex(({ outcome }) => outcome === 'success');
  const faults = telling.slice(lastSuccess + 1);
  if (faults.length < SETTINGS.faultsMax) return 'closed';
  const openedMs = faults.at(-1)?.atMs ?? 0;
  return nowMs - openedMs < SETTINGS.openMs ? 'open' : 'probe_due';
}

describe('BreakerBook', () => {
  const fault = (nowMs: number): BreakerResult => result('target_fault', nowMs);

  it('takes no room for targets that answer', () => {
    const book = new BreakerBook(SETTINGS);
    for (let index = 0; index < 10_000; index++) {
      book.record(`model-${index}`, result('success', index));
      book.record(`model-${index}`, result('request_fault', index));
    }
    expect(book.entries.size).toBe(0);
    expect(book.standing('model-1', 0)).toBe('closed');
  });

  it('keeps models apart and forgets a fault with the next success', () => {
    const book = new BreakerBook(SETTINGS);
    for (let index = 0; index < 5; index++) book.record('a', fault(0));
    book.record('b', fault(0));
    expect([book.standing('a', 1), book.standing('b', 1)]).toEqual(['open', 'closed']);
    book.record('b', result('success', 2));
    expect([...book.entries.keys()]).toEqual(['a']);
  });

  it('stays bounded whatever names clients invent, and forgets closed ones first', () => {
    const book = new BreakerBook(SETTINGS);
    for (let index = 0; index < 5; index++) book.record('dead', fault(0));
    for (let index = 0; index < 10 * BREAKERS_PER_URL_MAX; index++) {
      book.record('x'.repeat(index), fault(index));
      expect(book.entries.size).toBeLessThanOrEqual(BREAKERS_PER_URL_MAX);
    }
    expect(book.standing('dead', 1)).toBe('open');
    for (const key of book.entries.keys()) expect(key.length).toBeLessThanOrEqual(128);
  });

  it('lets one probe pass', () => {
    const book = new BreakerBook(SETTINGS);
    for (let index = 0; index < 5; index++) book.record('a', fault(0));
    expect(book.standing('a', 30_000)).toBe('probe_due');
    book.probe('a', 30_000);
    expect(book.standing('a', 30_000)).toBe('open');
  });
});
