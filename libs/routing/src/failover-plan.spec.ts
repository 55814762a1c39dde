import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  afterAttempt,
  ATTEMPT_MS_MIN,
  endWaiting,
  firstByteWaitMs,
  RECONNECT_PAUSE_MS,
  skipUrl,
  startFailover,
  startStreaming,
  type FailoverPolicy,
  type FailoverState,
} from './failover-plan.js';
import { movesOn, type AttemptOutcome } from './outcome.js';

const URL_LIMITS = { connectMs: 1_000, firstByteMs: 30_000, idleMs: 60_000 };

function policyOf(urls: number, totalMs = 600_000): FailoverPolicy {
  return { urls: Array.from({ length: urls }, () => URL_LIMITS), totalMs };
}

function run(policy: FailoverPolicy, outcomes: AttemptOutcome[]): FailoverState {
  return outcomes.reduce<FailoverState>(
    (state, outcome) => afterAttempt(state, { outcome, nowMs: 1 }),
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
    const stallAt = (nowMs: number) => afterAttempt(state, { outcome: { kind: 'stall' }, nowMs });
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
        const end = afterAttempt(streaming, { outcome, nowMs: 1 });
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
            const next = afterAttempt(state, { outcome, nowMs: 1 });
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
      order: [0, 1],
      awaitedMs: 0,
      position: 0,
      deadlineMs: 600_005,
      resent: false,
    });
  });
});

describe('an order other than all URLs', () => {
  const policy = policyOf(4, 900);
  const stall: AttemptOutcome = { kind: 'stall' };
  const end = { outcome: stall, nowMs: 1 };

  it('is followed, and nothing outside it is tried', () => {
    let state = startFailover(policy, 0, [2, 0]);
    expect(state).toMatchObject({ kind: 'trying', urlIndex: 2 });
    state = afterAttempt(state, end);
    expect(state).toMatchObject({ kind: 'trying', urlIndex: 0 });
    expect(afterAttempt(state, end)).toEqual({ kind: 'exhausted', urlIndex: 0, reason: 'urls' });
  });

  it('may be empty', () => {
    expect(startFailover(policy, 0, [])).toMatchObject({ kind: 'exhausted', reason: 'urls' });
  });

  it('is left by one place when a URL is skipped', () => {
    const state = skipUrl(startFailover(policy, 0, [2, 0]));
    expect(state).toMatchObject({ kind: 'trying', urlIndex: 0, deadlineMs: 900 });
    expect(skipUrl(state)).toMatchObject({ kind: 'exhausted', reason: 'urls' });
    const streaming = startStreaming(state);
    expect(skipUrl(streaming)).toBe(streaming);
  });

  it('shares the time left among the URLs that are left in it', () => {
    const state = startFailover(policy, 0, [2, 0]);
    if (state.kind !== 'trying') throw new Error('unreachable');
    const short = { ...policy, urls: policy.urls.map((url) => ({ ...url, firstByteMs: 1 })) };
    expect(firstByteWaitMs(short, state, { stream: false, nowMs: 0 })).toBe(450);
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

  it('is what the operator said, streamed or whole', () => {
    const said = { ...policyOf(1), urls: [{ ...URL_LIMITS, isFirstByteSet: true }] };
    const state = startFailover(said, 0);
    if (state.kind !== 'trying') throw new Error('unreachable');
    for (const stream of [true, false]) {
      expect(firstByteWaitMs(said, state, { stream, nowMs: 0 })).toBe(30_000);
      expect(firstByteWaitMs(said, state, { stream, nowMs: 590_000 })).toBe(10_000);
    }
  });

  it('never exceeds the time left', () => {
    expect(waits(2, true, 590_000)).toBe(10_000);
    expect(waits(1, false, 700_000)).toBe(0);
  });
});

describe('the only URL refuses the connection', () => {
  const refused: AttemptOutcome = { kind: 'connect_failure', isRefused: true };
  const WAITED_FOR = { policy: policyOf(1), outcome: refused, mayWait: true, then: 'exhausted' };
  const loading: AttemptOutcome = { kind: 'answered', status: 503, errorCode: 'loading' };

  it('is called again after a pause', () => {
    const waiting = afterAttempt(startFailover(policyOf(1), 0), { outcome: refused, nowMs: 5 });
    expect(waiting).toMatchObject({ kind: 'waiting', retryAtMs: 5 + RECONNECT_PAUSE_MS });
    expect(afterAttempt(waiting, { outcome: refused, nowMs: 6 })).toBe(waiting);
    const again = endWaiting(waiting);
    expect(again).toMatchObject({ kind: 'trying', urlIndex: 0, refusedSinceMs: 5 });
    const good = afterAttempt(again, { outcome: answered(200), nowMs: 200 });
    expect(good).toEqual({ kind: 'returned', urlIndex: 0 });
    expect(endWaiting(good)).toBe(good);
  });

  it('is waited for when a second kept-alive connection was closed', () => {
    const stale: AttemptOutcome = { kind: 'stale_connection' };
    const again = afterAttempt(startFailover(policyOf(1), 0), { outcome: stale, nowMs: 1 });
    expect(again).toMatchObject({ kind: 'trying', resent: true });
    expect(afterAttempt(again, { outcome: stale, nowMs: 2 }).kind).toBe('waiting');
  });

  it('is waited for while it says that it is loading, but only when it refused before', () => {
    const trying = startFailover(policyOf(1), 0);
    expect(afterAttempt(trying, { outcome: loading, nowMs: 1 }).kind).toBe('exhausted');
    const again = endWaiting(afterAttempt(trying, { outcome: refused, nowMs: 1 }));
    expect(afterAttempt(again, { outcome: loading, nowMs: 200 }).kind).toBe('waiting');
    expect(afterAttempt(again, { outcome: { kind: 'stall' }, nowMs: 200 }).kind).toBe('exhausted');
  });

  it.each([
    { when: 'with another URL', policy: policyOf(2), then: 'trying' },
    { when: 'when it was down before', mayWait: false },
    { when: 'for another reason', outcome: { kind: 'connect_failure' } as const },
    { when: 'with no time left', policy: policyOf(1, RECONNECT_PAUSE_MS) },
  ])('is not waited for $when', (not) => {
    const { policy, outcome, mayWait, then } = { ...WAITED_FOR, ...not };
    const state = startFailover(policy, 0);
    expect(afterAttempt(state, { outcome, nowMs: 1, mayWait }).kind).toBe(then);
  });

  it('is given up after its connect timeout, whatever the pauses', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 40 }), (delays) => {
        let nowMs = 0;
        let state = startFailover(policyOf(1), nowMs);
        for (const delayMs of delays) {
          if (state.kind === 'waiting') nowMs = Math.max(nowMs, state.retryAtMs);
          state = endWaiting(state);
          if (state.kind !== 'trying') break;
          nowMs += delayMs;
          state = afterAttempt(state, { outcome: refused, nowMs });
          if (state.kind !== 'waiting') continue;
          const sinceMs = state.then.refusedSinceMs ?? Infinity;
          expect(state.retryAtMs - sinceMs).toBeLessThanOrEqual(URL_LIMITS.connectMs);
        }
        expect(state).toMatchObject({ kind: 'exhausted', reason: 'urls' });
      }),
    );
  });
});
