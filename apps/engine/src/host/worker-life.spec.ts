import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { WorkerLife } from './worker-life.js';
import { afterDeath, NO_FAILURES, type Backoff } from './restart-backoff.js';

describe('WorkerLife', () => {
  let asked: string[];
  let hangs: number;
  let life: WorkerLife;

  beforeEach(() => {
    jest.useFakeTimers();
    asked = [];
    hangs = 0;
    life = new WorkerLife({
      ...{ stepTimeoutMs: 1000, probeTimeoutMs: 500, loadTimeoutMs: 2000, provenMs: 60_000 },
      askToken: (id) => asked.push(id),
      onHang: () => (hangs += 1),
    });
  });

  afterEach(() => {
    jest.useRealTimers();
  });

  it('takes a step of the last minute for proof and asks nobody', async () => {
    life.onStep();
    jest.advanceTimersByTime(59_000);
    expect(await life.isAlive()).toBe(true);
    expect(asked).toEqual([]);
  });

  it('asks an idle worker for one token, once for all who want to know', async () => {
    life.onStep();
    jest.advanceTimersByTime(61_000);
    const answers = [life.isAlive(), life.isAlive(), life.isAlive()];
    expect(asked).toEqual(['probe-1']);
    life.onProbed();
    expect(await Promise.all(answers)).toEqual([true, true, true]);
    expect(await life.isAlive()).toBe(true);
    expect(asked).toHaveLength(1);
  });

  it('does not wait for a worker that gives no token, or dies', async () => {
    const slow = life.isAlive();
    jest.advanceTimersByTime(500);
    expect(await slow).toBe(false);
    const dying = life.isAlive();
    expect(asked).toEqual(['probe-1', 'probe-2']);
    life.onDeath();
    expect(await dying).toBe(false);
  });

  it('calls an idle worker that gives no token hung, but none that owes answers', async () => {
    const idle = life.isAlive();
    jest.advanceTimersByTime(500);
    expect([await idle, hangs]).toEqual([false, 1]);
    const asked = life.isAlive();
    life.watch(1);
    jest.advanceTimersByTime(500);
    expect([await asked, hangs]).toEqual([false, 1]);
    jest.advanceTimersByTime(500);
    expect(hangs).toBe(2);
  });

  it('waits for a worker that loads as long as it gets further', () => {
    life.onLoading();
    jest.advanceTimersByTime(1900);
    life.onLoading();
    jest.advanceTimersByTime(1900);
    life.onLoaded();
    jest.advanceTimersByTime(5000);
    expect(hangs).toBe(0);
    life.onLoading();
    jest.advanceTimersByTime(2000);
    expect(hangs).toBe(1);
  });

  it('calls silence a hang only while answers are owed, counted from the last word', () => {
    life.watch(1);
    jest.advanceTimersByTime(900);
    life.watch(1);
    jest.advanceTimersByTime(900);
    expect(hangs).toBe(0);
    life.watch(0);
    jest.advanceTimersByTime(5000);
    expect(hangs).toBe(0);
    life.watch(2);
    jest.advanceTimersByTime(1000);
    expect(hangs).toBe(1);
  });
});

describe('afterDeath', () => {
  const deaths = (count: number, servedMs: number): Backoff =>
    Array.from({ length: count }).reduce<Backoff>((b) => afterDeath(b, servedMs), NO_FAILURES);

  it('doubles from a tenth of a second to half a minute', () => {
    expect([1, 2, 3, 4].map((count) => deaths(count, 0).delayMs)).toEqual([100, 200, 400, 800]);
    expect(deaths(50, 0).delayMs).toBe(30_000);
  });

  it('starts anew once a worker has served for a minute', () => {
    expect(deaths(50, 60_000).delayMs).toBe(100);
  });
});
