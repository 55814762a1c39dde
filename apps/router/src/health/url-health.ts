import {
  BreakerBook,
  coolDownMs,
  observeLatency,
  type BreakerResult,
  type BreakerState,
  type LatencyState,
  type Passage,
  type UrlStanding,
} from '@sanctum/routing';
import type { Resilience } from './resilience.js';

/** A URL as everybody knows it; what is known of it outlives a reload and a restart. */
export interface UrlName {
  readonly backend: string;
  readonly url: string;
}

export interface LastError {
  /** One word: `ECONNREFUSED`, `stall`, `status_503`, `empty_content`. */
  readonly errorClass: string;
  readonly atMs: number;
}

/** How one URL of a backend has been doing. Times are wall-clock milliseconds. */
export class UrlHealth {
  readonly name: UrlName;
  readonly breakers: BreakerBook;
  coolUntilMs = 0;
  latency: LatencyState | undefined;
  lastError: LastError | undefined;
  inFlight = 0;
  #resilience: Resilience;

  constructor(name: UrlName, resilience: Resilience) {
    this.name = name;
    this.#resilience = resilience;
    this.breakers = new BreakerBook(resilience.breaker);
  }

  /** From here on it is judged by these thresholds. */
  set resilience(resilience: Resilience) {
    this.#resilience = resilience;
    this.breakers.settings = resilience.breaker;
  }

  standing(model: string, nowMs: number): UrlStanding {
    const standing = this.breakers.standing(model, nowMs);
    if (standing === 'open') {
      const state = this.breakers.stateOf(model);
      return state.kind !== 'closed' && state.lastFault !== 'failure' ? 'last_resort' : 'open';
    }
    return this.isCooling(nowMs) ? 'cooling' : 'usable';
  }

  /** A clock that was set back does not make a wait longer than the longest there is. */
  isCooling(nowMs: number): boolean {
    const leftMs = this.coolUntilMs - nowMs;
    return leftMs > 0 && leftMs <= this.#resilience.coolDown.maxMs;
  }

  /** How a request may pass now, taking the probe when one is due; undefined when it may not. */
  pass(model: string, nowMs: number): Passage | undefined {
    switch (this.breakers.standing(model, nowMs)) {
      case 'closed':
        return 'normal';
      case 'probe_due':
        this.breakers.probe(model, nowMs);
        return 'probe';
      case 'open':
        return this.standing(model, nowMs) === 'last_resort' ? 'last_resort' : undefined;
    }
  }

  record(model: string, result: BreakerResult): { before: BreakerState; after: BreakerState } {
    const change = this.breakers.record(model, result);
    // What was measured before it opened must not speak against a target that is back.
    if (change.after.kind === 'open' && change.before.kind !== 'open') this.latency = undefined;
    return change;
  }

  /** After a 429 or 408, with its Retry-After. */
  cool(retryAfter: string | undefined, nowMs: number): void {
    this.coolUntilMs = nowMs + coolDownMs(retryAfter, this.#resilience.coolDown, nowMs);
  }

  /** Takes in how long a good answer let wait. */
  observe(waitedMs: number): { isSlow: boolean; tripped: boolean } {
    const { state, isSlow, tripped } = observeLatency(
      this.latency,
      this.#resilience.slowness,
      waitedMs / 1_000,
    );
    this.latency = state;
    return { isSlow, tripped };
  }
}
