import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { observeLatency, type LatencyState } from './latency-ema.js';

const SETTINGS = { thresholdS: 15, tripCount: 3 };

function observe(latencies: readonly number[], settings = SETTINGS): boolean[] {
  let state: LatencyState | undefined;
  return latencies.map((latency) => {
    const next = observeLatency(state, settings, latency);
    state = next.state;
    return next.tripped;
  });
}

describe('observeLatency', () => {
  it('begins at the first answer and moves by a fifth', () => {
    const first = observeLatency(undefined, SETTINGS, 3).state;
    expect(first.emaS).toBe(3);
    expect(observeLatency(first, SETTINGS, 8).state.emaS).toBeCloseTo(4);
  });

  it('trips once per three consecutive averages over the threshold', () => {
    expect(observe([20, 20, 20, 20, 20, 20])).toEqual([false, false, true, false, false, true]);
    expect(observe([18, 18, 0, 18, 18])).not.toContain(true);
    expect(observe([15, 15, 15, 15])).not.toContain(true);
  });

  it('never trips without a threshold', () => {
    let state: LatencyState | undefined;
    for (let index = 0; index < 10; index++) {
      const next = observeLatency(state, { thresholdS: undefined, tripCount: 1 }, 1e9);
      expect(next.tripped).toBe(false);
      state = next.state;
    }
  });

  it('agrees with a reference that sums the whole history anew', () => {
    const latencies = fc.array(fc.double({ min: 0, max: 60, noNaN: true }), { maxLength: 40 });
    fc.assert(
      fc.property(latencies, (history) => {
        const averages = history.map((_, last) =>
          history
            .slice(0, last + 1)
            .reduce((sum, value, i) => sum + value * (i === 0 ? 1 : 0.2) * 0.8 ** (last - i), 0),
        );
        // A hair from the threshold, rounding decides: such histories say nothing.
        fc.pre(averages.every((average) => Math.abs(average - 15) > 1e-6));
        let run = 0;
        const expected = averages.map((average) => {
          run = average > 15 ? run + 1 : 0;
          const trips = run === 3;
          if (trips) run = 0;
          return trips;
        });
        expect(observe(history)).toEqual(expected);
      }),
    );
  });
});
