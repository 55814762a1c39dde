import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  afterAttempt,
  ATTEMPT_MS_MIN,
  classifyOutcome,
  firstByteWaitMs,
  movesOn,
  startFailover,
  startStreaming,
  type AttemptOutcome,
  type FailoverPolicy,
  type FailoverState,
} from './failover-plan.js';

const URL_LIMITS = { connectMs: 1_000, firstByteMs: 30_000, idleMs: 60_000 };

function policyOf(urls: number, totalMs = 600_000): FailoverPolicy {
  return { urls: Array.from({ length: urls }, () => URL_LIMITS), totalMs };
}

function run(policy: FailoverPolicy, outcomes: AttemptOutcome[]): FailoverState {
  return outcomes.reduce<FailoverState>(
    (state, outcome) => afterAttempt(policy, state, { outcome, nowMs: 1 }),
    startFailover(policy, 0),
  );
}

const answered = (status: number): AttemptOutcome => ({ kind: 'answered', status });
const anyOutcome: fc.Arbitrary<AttemptOutcome> = fc.oneof(
  fc.integer({ min: 200, max: 599 }).map(answered),
  fc
    .constantFrom('connect_failure', 'transport', 'stale_connection', 'stall', 'stream_error')
    .map((kind): AttemptOutcome => ({ kind })),
);

describe('afterAttempt', () => {
  it.each<[AttemptOutcome]>([
    [{ kind: 'connect_failure' }],
    [{ kind: 'transport' }],
    [{ kind: 'stall' }],
    [{ kind: 'stream_error' }],
    ...[500, 502, 503, 529, 429, 408].map((status): [AttemptOutcome] => [answered(status)]),
  ])('%j moves on to the next URL, and ends when there is none', (outcome) => {
    expect(run(policyOf(2), [outcome])).toMatchObject({ kind: 'trying', urlIndex: 1 });
    expect(run(policyOf(2), [outcome, outcome])).toEqual({
      kind: 'exhausted',
      urlIndex: 1,
      reason: 'urls',
    });
  });

  it.each([200, 204, 301, 400, 401, 403, 404, 409, 413, 422])(
    '%d is returned at once',
    (status) => {
      expect(run(policyOf(3), [answered(status)])).toEqual({ kind: 'returned', urlIndex: 0 });
    },
  );

  it('tries a stale connection once more at the same URL', () => {
    const stale: AttemptOutcome = { kind: 'stale_connection' };
    expect(run(policyOf(2), [stale])).toMatchObject({ urlIndex: 0, resent: true });
    expect(run(policyOf(2), [stale, stale])).toMatchObject({ urlIndex: 1, resent: false });
  });

  it('gives up at the total deadline, whatever URLs are left', () => {
    const policy = policyOf(3, 1_000);
    const state = startFailover(policy, 0);
    const stallAt = (nowMs: number) =>
      afterAttempt(policy, state, { outcome: { kind: 'stall' }, nowMs });
    const exhausted = { kind: 'exhausted', urlIndex: 0, reason: 'deadline' };
    expect(stallAt(1_000)).toEqual(exhausted);
    expect(stallAt(1_001 - ATTEMPT_MS_MIN)).toEqual(exhausted);
    expect(stallAt(1_000 - ATTEMPT_MS_MIN)).toMatchObject({ kind: 'trying', urlIndex: 1 });
  });

  it('never leaves a URL once content flows', () => {
    fc.assert(
      fc.property(anyOutcome, (outcome) => {
        const policy = policyOf(3);
        const streaming = startStreaming(startFailover(policy, 0));
        const end = afterAttempt(policy, streaming, { outcome, nowMs: 1 });
        expect(end.urlIndex).toBe(0);
        expect(end.kind).toBe(outcome.kind === 'answered' ? 'returned' : 'broken');
      }),
    );
  });

  it('visits URLs in order, at most twice each, and stays where it ended', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(anyOutcome, { minLength: 12, maxLength: 12 }),
        (urls, outcomes) => {
          const policy = policyOf(urls);
          let state = startFailover(policy, 0);
          const visits = new Map([[0, 1]]);
          for (const outcome of outcomes) {
            const next = afterAttempt(policy, state, { outcome, nowMs: 1 });
            expect(next.urlIndex).toBeLessThan(urls);
            expect(next.urlIndex - state.urlIndex).toBeGreaterThanOrEqual(0);
            expect(next.urlIndex - state.urlIndex).toBeLessThanOrEqual(1);
            if (state.kind !== 'trying') expect(next).toBe(state);
            if (next.kind === 'trying') {
              visits.set(next.urlIndex, (visits.get(next.urlIndex) ?? 0) + 1);
            }
            if (next.kind === 'returned' && state.kind === 'trying') {
              expect(movesOn(outcome)).toBe(false);
            }
            state = next;
          }
          expect(Math.max(...visits.values())).toBeLessThanOrEqual(2);
          expect(state.kind).not.toBe('trying');
        },
      ),
    );
  });

  it('starts every request at the primary', () => {
    expect(startFailover(policyOf(2), 5)).toEqual({
      kind: 'trying',
      urlIndex: 0,
      deadlineMs: 600_005,
      resent: false,
    });
  });
});

describe('classifyOutcome', () => {
  it.each<[AttemptOutcome, string]>([
    [answered(200), 'success'],
    [answered(302), 'success'],
    [answered(400), 'request_fault'],
    [answered(404), 'request_fault'],
    [answered(401), 'neutral'],
    [answered(403), 'neutral'],
    [answered(408), 'neutral'],
    [answered(429), 'neutral'],
    [answered(500), 'target_fault'],
    [answered(529), 'target_fault'],
    [{ kind: 'answered', status: 503, errorCode: 'loading' }, 'neutral'],
    [{ kind: 'connect_failure' }, 'target_fault'],
    [{ kind: 'transport' }, 'target_fault'],
    [{ kind: 'stall' }, 'target_fault'],
    [{ kind: 'stream_error' }, 'target_fault'],
    [{ kind: 'stale_connection' }, 'neutral'],
  ])('%j is %s', (outcome, expected) => {
    expect(classifyOutcome(outcome)).toBe(expected);
  });
});

describe('firstByteWaitMs', () => {
  const waits = (urls: number, stream: boolean, nowMs = 0) => {
    const policy = policyOf(urls);
    const state = startFailover(policy, 0);
    if (state.kind !== 'trying') throw new Error('unreachable');
    return firstByteWaitMs(policy, state, { stream, nowMs });
  };

  it('is the limit of the URL for a stream', () => {
    expect(waits(2, true)).toBe(30_000);
  });

  it('is an equal share of the time left for an answer that comes whole', () => {
    expect(waits(2, false)).toBe(300_000);
    expect(waits(3, false, 300_000)).toBe(100_000);
  });

  it('never exceeds the time left', () => {
    expect(waits(2, true, 590_000)).toBe(10_000);
    expect(waits(1, false, 700_000)).toBe(0);
  });
});
