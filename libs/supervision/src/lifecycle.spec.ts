import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { advance, INITIAL_LIFECYCLE, type Lifecycle, type LifecycleEvent } from './lifecycle.js';
import { decideRestart, type RestartPolicy } from './restart-policy.js';

const policy: RestartPolicy = {
  backoffMs: 100,
  backoffMaxMs: 1_000,
  restartsMax: 3,
  windowMs: 60_000,
};

function run(...events: readonly LifecycleEvent[]): Lifecycle {
  return events.reduce((now, event) => advance(now, event, policy).next, INITIAL_LIFECYCLE);
}

const exit = (at: number): LifecycleEvent => ({ type: 'exited', at, reason: `code ${at}` });
const toReady: readonly LifecycleEvent[] = [
  { type: 'start' },
  { type: 'requirements_ready' },
  { type: 'probe_passed' },
];

describe('advance', () => {
  it('walks from stopped to ready and back', () => {
    expect(run(...toReady)).toMatchObject({ phase: 'ready', wanted: true, everReady: true });
    expect(run(...toReady, { type: 'stop' }).phase).toBe('stopping');
    expect(run(...toReady, { type: 'stop' }, exit(1)).phase).toBe('stopped');
  });

  it('gives up at once what was never ready, and says why', () => {
    const lifecycle = run({ type: 'start' }, { type: 'requirements_ready' }, exit(7));
    expect(lifecycle).toMatchObject({ phase: 'failed', reason: 'code 7' });
  });

  it('restarts what was ready, until the budget is spent', () => {
    const again: readonly LifecycleEvent[] = [{ type: 'backoff_over' }, { type: 'probe_passed' }];
    const thrice = [exit(1), ...again, exit(2), ...again, exit(3), ...again];
    expect(run(...toReady, ...thrice)).toMatchObject({ phase: 'ready', restarts: 3 });
    expect(run(...toReady, ...thrice, exit(4)).phase).toBe('failed');
    expect(run(...toReady, ...thrice, exit(3 + policy.windowMs)).phase).toBe('backoff');
  });

  it('ends a startup that takes too long and keeps its reason', () => {
    const timedOut = run(
      { type: 'start' },
      { type: 'requirements_ready' },
      { type: 'startup_timed_out', reason: 'slow' },
    );
    expect(timedOut.phase).toBe('stopping');
    expect(advance(timedOut, exit(1), policy).next).toMatchObject({
      phase: 'failed',
      reason: 'slow',
    });
  });

  it('leaves what dies while paused dead, at no cost to its budget, and starts it on resume', () => {
    const dead = run(...toReady, { type: 'pause' }, exit(1));
    expect(dead).toMatchObject({ phase: 'backoff', exits: [], restarts: 0 });
    expect(dead.reason).toBe('code 1, while restarts were paused');
    expect(advance(dead, { type: 'backoff_over' }, policy)).toEqual({ next: dead, effect: null });
    const { next, effect } = advance(dead, { type: 'resume' }, policy);
    expect(effect).toEqual({ type: 'schedule_restart', delayMs: 0 });
    expect(advance(next, { type: 'backoff_over' }, policy).next).toMatchObject({
      phase: 'starting',
      restarts: 1,
    });
    expect(run(...toReady, { type: 'pause' }, exit(1), { type: 'stop' }).phase).toBe('stopped');
    expect(run(...toReady, { type: 'pause' }, { type: 'resume' }, exit(1)).phase).toBe('backoff');
  });

  it('forgets the past when it is started again', () => {
    const failed = run({ type: 'start' }, { type: 'requirements_ready' }, exit(7));
    const again = advance(failed, { type: 'start' }, policy);
    expect(again.next).toMatchObject({ phase: 'waiting', exits: [], reason: null });
    expect(again.effect).toEqual({ type: 'await_requirements' });
  });

  const events: fc.Arbitrary<LifecycleEvent> = fc.oneof(
    fc.constantFrom<LifecycleEvent>(
      { type: 'start' },
      { type: 'requirements_ready' },
      { type: 'probe_passed' },
      { type: 'startup_timed_out', reason: 'slow' },
      { type: 'backoff_over' },
      { type: 'stop' },
    ),
    fc.nat(100_000).map(exit),
  );

  it('never has two processes, and none when it says stopped', () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 60 }), (sequence) => {
        let lifecycle = INITIAL_LIFECYCLE;
        let alive = false;
        for (const event of sequence) {
          if (event.type === 'exited' && !alive) {
            continue;
          }
          alive = event.type === 'exited' ? false : alive;
          const { next, effect } = advance(lifecycle, event, policy);
          if (effect?.type === 'spawn') {
            expect(alive).toBe(false);
            alive = true;
          }
          if (effect?.type === 'terminate') {
            expect(alive).toBe(true);
          }
          lifecycle = next;
          expect(alive).toBe(['starting', 'ready', 'stopping'].includes(lifecycle.phase));
        }
      }),
    );
  });

  it('always stops: stop and the exit it causes end in stopped', () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 60 }), (sequence) => {
        const asked = advance(run(...sequence), { type: 'stop' }, policy).next;
        const ended = asked.phase === 'stopping' ? advance(asked, exit(0), policy).next : asked;
        expect(ended).toMatchObject({ phase: 'stopped', wanted: false });
      }),
    );
  });
});

describe('decideRestart', () => {
  it('doubles the delay up to its limit', () => {
    const wide = { ...policy, restartsMax: 100 };
    const delays = [0, 1, 2, 3, 4, 5].map((earlier) => {
      const exits = Array.from({ length: earlier }, (_, index) => 1_000 + index);
      const decision = decideRestart(wide, exits, 2_000);
      return decision.restart ? decision.delayMs : null;
    });
    expect(delays).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  it('never allows more restarts in a window than the budget', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(10_000), { maxLength: 40 }), (gaps) => {
        let at = 0;
        let exits: readonly number[] = [];
        const restarts: number[] = [];
        for (const gap of gaps) {
          at += gap;
          const decision = decideRestart(policy, exits, at);
          exits = decision.exits;
          if (decision.restart) {
            restarts.push(at);
          }
        }
        for (const restart of restarts) {
          const inWindow = restarts.filter(
            (other) => other <= restart && other > restart - policy.windowMs,
          );
          expect(inWindow.length).toBeLessThanOrEqual(policy.restartsMax);
        }
      }),
    );
  });
});
