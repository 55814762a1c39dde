import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DailyBudgets } from './daily-budget.js';
import { LocalCalendar } from './local-day.js';

const HOUR_MS = 3_600_000;
const at = (iso: string): number => Date.parse(iso);

describe('LocalCalendar', () => {
  it.each([
    ['UTC', '2026-11-21T07:00:00Z', '2026-11-21', '2026-11-22T00:00:00Z'],
    // Clocks go forward: 23 hours. Back: 25.
    ['Europe/Berlin', '2026-03-29T00:30:00Z', '2026-03-29', '2026-03-29T22:00:00Z'],
    ['Europe/Berlin', '2026-10-25T00:30:00Z', '2026-10-25', '2026-10-25T23:00:00Z'],
    // Midnight itself does not exist, or comes twice.
    ['Africa/Cairo', '2026-04-23T12:00:00Z', '2026-04-23', '2026-04-23T22:00:00Z'],
    ['Asia/Beirut', '2026-10-24T12:00:00Z', '2026-10-24', '2026-10-24T22:00:00Z'],
    ['America/St_Johns', '2026-11-21T03:29:00Z', '2026-11-20', '2026-11-21T03:30:00Z'],
    ['Asia/Kathmandu', '2026-11-21T18:14:00Z', '2026-11-21', '2026-11-21T18:15:00Z'],
    // The day that Samoa left out when it crossed the date line.
    ['Pacific/Apia', '2011-12-30T09:00:00Z', '2011-12-29', '2011-12-30T10:00:00Z'],
  ])('%s at %s is %s until %s', (zone, now, ...expected) => {
    const day = new LocalCalendar(zone).at(at(now));
    expect([day.key, new Date(day.endMs).toISOString().replace('.000', '')]).toEqual(expected);
  });

  it('agrees with asking for the date hour by hour, across every change of clocks', () => {
    const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Cairo'];
    for (const zone of zones) {
      const calendar = new LocalCalendar(zone);
      const plain = new Intl.DateTimeFormat('sv-SE', { timeZone: zone });
      for (let now = at('2026-01-01T00:30:00Z'); now < at('2027-01-01T00:00:00Z'); now += HOUR_MS) {
        const { key, endMs } = calendar.at(now);
        expect(key).toBe(plain.format(now));
        expect(plain.format(endMs - 1)).toBe(key);
        expect(plain.format(endMs)).not.toBe(key);
      }
    }
  });

  it('looks again when the clock was set back', () => {
    const calendar = new LocalCalendar('UTC');
    calendar.at(at('2026-11-21T00:00:01Z'));
    expect(calendar.at(at('2026-11-20T23:59:59Z')).key).toBe('2026-11-20');
  });
});

describe('DailyBudgets', () => {
  const SCOPE = 'backend:cloud';
  const NOON = at('2026-11-21T12:00:00Z');

  function budgets(cap: number | undefined, zone = 'UTC'): DailyBudgets {
    const made = new DailyBudgets(new LocalCalendar(zone));
    made.setCap(SCOPE, cap);
    return made;
  }

  it('is spent by the tokens that reach the cap, and says so once', () => {
    const made = budgets(100);
    expect(made.spend(SCOPE, 99, NOON)).toBe(false);
    expect(made.isSpent(SCOPE, NOON)).toBe(false);
    expect(made.spend(SCOPE, 51, NOON)).toBe(true);
    expect(made.spend(SCOPE, 1, NOON)).toBe(false);
    expect(made.isSpent(SCOPE, NOON)).toBe(true);
    expect(made.standing(SCOPE, NOON)).toEqual({
      cap: 100,
      used: 151,
      left: 0,
      resetsAtMs: at('2026-11-22T00:00:00Z'),
    });
  });

  it('counts nothing without a cap, and keeps scopes apart', () => {
    const made = budgets(undefined);
    expect(made.spend(SCOPE, 1e9, NOON)).toBe(false);
    expect(made.standing(SCOPE, NOON)).toBeUndefined();
    expect(made.uses.size).toBe(0);
    made.setCap('identity:laptop', 5);
    made.spend('identity:laptop', 5, NOON);
    expect(made.isSpent('identity:laptop', NOON)).toBe(true);
    expect(made.isSpent('identity:canary', NOON)).toBe(false);
  });

  it('begins anew at local midnight, on the days clocks change too', () => {
    const made = budgets(10, 'Europe/Berlin');
    made.spend(SCOPE, 10, at('2026-10-24T21:00:00Z'));
    expect(made.isSpent(SCOPE, at('2026-10-24T21:59:59Z'))).toBe(true);
    expect(made.isSpent(SCOPE, at('2026-10-24T22:00:00Z'))).toBe(false);
    made.spend(SCOPE, 10, at('2026-10-24T22:00:00Z'));
    expect(made.isSpent(SCOPE, at('2026-10-25T22:59:59Z'))).toBe(true);
    expect(made.isSpent(SCOPE, at('2026-10-25T23:00:00Z'))).toBe(false);
  });

  it('frees nothing when the clock is set back, by an hour or by a year', () => {
    const made = budgets(10);
    made.spend(SCOPE, 10, at('2026-11-22T00:30:00Z'));
    expect(made.isSpent(SCOPE, at('2026-11-21T23:30:00Z'))).toBe(true);
    made.spend(SCOPE, 1, at('2026-11-21T23:30:00Z'));
    expect(made.isSpent(SCOPE, at('2026-11-22T00:00:00Z'))).toBe(true);
    expect(made.isSpent(SCOPE, at('2026-11-23T00:00:00Z'))).toBe(false);
    const far = budgets(10);
    far.spend(SCOPE, 10, at('2027-11-21T12:00:00Z'));
    far.spend(SCOPE, 1, NOON);
    expect(far.isSpent(SCOPE, NOON)).toBe(true);
    expect(far.isSpent(SCOPE, at('2026-11-22T00:00:00Z'))).toBe(false);
  });

  it('agrees with summing all that was spent on the same date', () => {
    const zone = 'America/New_York';
    const date = new Intl.DateTimeFormat('sv-SE', { timeZone: zone });
    const step = fc.record({ waitMs: fc.nat(20 * HOUR_MS), tokens: fc.nat(30) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const made = budgets(50, zone);
        let nowMs = at('2026-10-30T12:00:00Z');
        const history: { day: string; tokens: number }[] = [];
        for (const { waitMs, tokens } of steps) {
          nowMs += waitMs;
          const day = date.format(nowMs);
          history.push({ day, tokens });
          made.spend(SCOPE, tokens, nowMs);
          const used = history.reduce((sum, one) => sum + (one.day === day ? one.tokens : 0), 0);
          expect(made.standing(SCOPE, nowMs)).toMatchObject({ used, left: Math.max(0, 50 - used) });
          expect(made.isSpent(SCOPE, nowMs)).toBe(used >= 50);
        }
      }),
    );
  });
});
