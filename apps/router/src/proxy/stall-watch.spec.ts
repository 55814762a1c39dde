import { describe, expect, it } from '@jest/globals';
import { StallWatch, SWEEP_MS, type Watched } from './stall-watch.js';

/** Resolves when it is overdue, with how late that is noticed. */
function watchedFor(watch: StallWatch, waitMs: number): Promise<number> {
  const dueMs = performance.now() + waitMs;
  return new Promise((resolve) => {
    const one: Watched = {
      slot: -1,
      dueMs,
      overdue: () => {
        watch.unwatch(one);
        resolve(performance.now() - dueMs);
      },
    };
    watch.watch(one);
  });
}

/** An unreferenced timer does not keep a process; a test has to. */
async function keptAlive<T>(work: Promise<T>): Promise<T> {
  const timer = setInterval(() => undefined, 1_000);
  return work.finally(() => {
    clearInterval(timer);
  });
}

describe('StallWatch', () => {
  it('notices what is overdue when it is, never early, and not what has time left', async () => {
    const watch = new StallWatch();
    const overdue: string[] = [];
    const first = { slot: -1, dueMs: Infinity, overdue: () => overdue.push('first') };
    watch.watch(first);
    expect(await keptAlive(watchedFor(watch, 3 * SWEEP_MS))).toBeGreaterThanOrEqual(0);
    expect(overdue).toEqual([]);
    first.dueMs = 0;
    expect(await keptAlive(watchedFor(watch, 0))).toBeGreaterThanOrEqual(0);
    expect(overdue).toContain('first');
  });

  it('leaves alone what shows a sign of life, and what is no longer watched', async () => {
    const watch = new StallWatch();
    const overdue: string[] = [];
    const lively = { slot: -1, dueMs: Infinity, overdue: () => overdue.push('lively') };
    const gone = { slot: -1, dueMs: 0, overdue: () => overdue.push('gone') };
    watch.watch(lively);
    watch.watch(gone);
    watch.unwatch(gone);
    await keptAlive(watchedFor(watch, SWEEP_MS));
    expect(overdue).toEqual([]);
  });

  it('takes out the ones that are done, in any order', async () => {
    const watch = new StallWatch();
    const overdue: number[] = [];
    const all = Array.from({ length: 50 }, (_, name) => ({
      ...{ slot: -1, dueMs: 0, overdue: () => overdue.push(name) },
    }));
    for (const one of all) watch.watch(one);
    for (const [name, one] of all.entries()) {
      if (name % 3 !== 0) watch.unwatch(one);
      if (name % 5 === 0) watch.unwatch(one);
    }
    const left = [...all.keys()].filter((name) => name % 3 === 0 && name % 5 !== 0);
    await keptAlive(watchedFor(watch, SWEEP_MS));
    expect([...new Set(overdue)].sort((a, b) => a - b)).toEqual(left);
  });

  it('rests when there is nothing to watch, and wakes up again', async () => {
    const watch = new StallWatch();
    await keptAlive(watchedFor(watch, 0));
    let sweeps = 0;
    const counting: Watched = {
      slot: -1,
      get dueMs() {
        sweeps++;
        return Infinity;
      },
      overdue: () => undefined,
    };
    watch.watch(counting);
    await keptAlive(watchedFor(watch, SWEEP_MS));
    watch.unwatch(counting);
    expect(sweeps).toBeGreaterThan(0);
    expect(await keptAlive(watchedFor(watch, 0))).toBeGreaterThanOrEqual(0);
  });
});
