import { decideRestart, type RestartPolicy } from './restart-policy.js';

export type Phase =
  'stopped' | 'waiting' | 'starting' | 'ready' | 'backoff' | 'stopping' | 'failed';

/** Everything that decides what happens to one service next. */
export interface Lifecycle {
  readonly phase: Phase;
  /** Whether the operator wants it to run. */
  readonly wanted: boolean;
  /** Whether it was ready since it was asked to start. */
  readonly everReady: boolean;
  /** Somebody wants an exit to have its effect: the service is not started again meanwhile. */
  readonly paused: boolean;
  /** Times of unexpected exits in ms, within the window of the policy. */
  readonly exits: readonly number[];
  readonly restarts: number;
  readonly reason: string | null;
}

export type LifecycleEvent =
  | { readonly type: 'start' }
  | { readonly type: 'requirements_ready' }
  | { readonly type: 'probe_passed' }
  | { readonly type: 'startup_timed_out'; readonly reason: string }
  | { readonly type: 'exited'; readonly at: number; readonly reason: string }
  | { readonly type: 'backoff_over' }
  | { readonly type: 'stop' }
  | { readonly type: 'pause' }
  | { readonly type: 'resume' };

export type LifecycleEffect =
  | { readonly type: 'await_requirements' }
  | { readonly type: 'spawn' }
  | { readonly type: 'terminate' }
  | { readonly type: 'schedule_restart'; readonly delayMs: number };

export interface Step {
  readonly next: Lifecycle;
  readonly effect: LifecycleEffect | null;
}

export const INITIAL_LIFECYCLE: Lifecycle = {
  phase: 'stopped',
  wanted: false,
  everReady: false,
  paused: false,
  exits: [],
  restarts: 0,
  reason: null,
};

/** The whole state machine of a supervised service; an event that does not fit changes nothing. */
export function advance(now: Lifecycle, event: LifecycleEvent, policy: RestartPolicy): Step {
  switch (event.type) {
    case 'start':
      return start(now);
    case 'requirements_ready':
      return now.phase === 'waiting' ? move(now, 'starting', { type: 'spawn' }) : same(now);
    case 'probe_passed':
      return probePassed(now);
    case 'startup_timed_out':
      return startupTimedOut(now, event.reason);
    case 'exited':
      return exited(now, event, policy);
    case 'backoff_over':
      return backoffOver(now);
    case 'stop':
      return stop(now);
    case 'pause':
      return same({ ...now, paused: true });
    case 'resume':
      return resume(now);
  }
}

function probePassed(now: Lifecycle): Step {
  return now.phase === 'starting'
    ? { next: { ...now, phase: 'ready', everReady: true, reason: null }, effect: null }
    : same(now);
}

function startupTimedOut(now: Lifecycle, reason: string): Step {
  return now.phase === 'starting'
    ? move({ ...now, reason }, 'stopping', { type: 'terminate' })
    : same(now);
}

function backoffOver(now: Lifecycle): Step {
  return now.phase === 'backoff' && !now.paused
    ? move({ ...now, restarts: now.restarts + 1 }, 'starting', { type: 'spawn' })
    : same(now);
}

/** What ended while it was paused is started at once. */
function resume(now: Lifecycle): Step {
  const resumed = { ...now, paused: false };
  return now.paused && now.phase === 'backoff'
    ? { next: resumed, effect: { type: 'schedule_restart', delayMs: 0 } }
    : same(resumed);
}

function start(now: Lifecycle): Step {
  if (now.phase !== 'stopped' && now.phase !== 'failed') {
    return same(now);
  }
  const fresh = { ...INITIAL_LIFECYCLE, wanted: true, restarts: now.restarts, paused: now.paused };
  return move(fresh, 'waiting', { type: 'await_requirements' });
}

function stop(now: Lifecycle): Step {
  const unwanted = { ...now, wanted: false };
  switch (now.phase) {
    case 'starting':
    case 'ready':
      return move(unwanted, 'stopping', { type: 'terminate' });
    case 'stopping':
      return same(unwanted);
    case 'stopped':
    case 'waiting':
    case 'backoff':
    case 'failed':
      return move(unwanted, 'stopped', null);
  }
}

function exited(
  now: Lifecycle,
  event: { readonly at: number; readonly reason: string },
  policy: RestartPolicy,
): Step {
  if (now.phase !== 'starting' && now.phase !== 'ready' && now.phase !== 'stopping') {
    return same(now);
  }
  if (!now.wanted) {
    return move(now, 'stopped', null);
  }
  // An exit that was wanted is no failure, and costs nothing of the budget.
  if (now.paused && now.everReady) {
    return move({ ...now, reason: `${event.reason}, while restarts were paused` }, 'backoff', null);
  }
  // A startup that timed out has said why already; the exit it caused adds nothing.
  const reason = now.phase === 'stopping' && now.reason !== null ? now.reason : event.reason;
  const decision = decideRestart(policy, now.exits, event.at);
  const after = { ...now, exits: decision.exits, reason };
  // What was never ready will not become so by repetition: say it at once.
  return now.everReady && decision.restart
    ? move(after, 'backoff', { type: 'schedule_restart', delayMs: decision.delayMs })
    : move(after, 'failed', null);
}

function move(now: Lifecycle, phase: Phase, effect: LifecycleEffect | null): Step {
  return { next: { ...now, phase }, effect };
}

function same(now: Lifecycle): Step {
  return { next: now, effect: null };
}
