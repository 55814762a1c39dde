import {
  afterResult,
  breakerStanding,
  CLOSED_BREAKER,
  startProbe,
  type BreakerResult,
  type BreakerSettings,
  type BreakerStanding,
  type BreakerState,
} from './breaker.js';

/** Models of one URL with a breaker that is not at rest; beyond it the oldest is forgotten. */
export const BREAKERS_PER_URL_MAX = 64;
/** Longer model names share the breaker of their first characters. */
const MODEL_CHARS_MAX = 128;

/**
 * The breakers of one URL, by model. A breaker at rest takes no room, so that neither well-behaved
 * traffic nor clients who invent model names make it grow.
 */
export class BreakerBook {
  readonly #states = new Map<string, BreakerState>();
  /** May change while breakers are open: they are then judged by the new ones. */
  settings: BreakerSettings;

  constructor(settings: BreakerSettings) {
    this.settings = settings;
  }

  /** Breakers not at rest. */
  get entries(): ReadonlyMap<string, BreakerState> {
    return this.#states;
  }

  stateOf(model: string): BreakerState {
    return this.#states.get(keyOf(model)) ?? CLOSED_BREAKER;
  }

  standing(model: string, nowMs: number): BreakerStanding {
    if (this.#states.size === 0) return 'closed';
    return breakerStanding(this.stateOf(model), this.settings, nowMs);
  }

  probe(model: string, nowMs: number): void {
    this.restore(model, startProbe(this.stateOf(model), nowMs));
  }

  /** Takes a result in; returns the states before and after. */
  record(model: string, result: BreakerResult): { before: BreakerState; after: BreakerState } {
    const before = this.stateOf(model);
    const after = afterResult(before, this.settings, result);
    if (after !== before) this.restore(model, after);
    return { before, after };
  }

  /** Puts a state in, one kept on disk for example. */
  restore(model: string, state: BreakerState): void {
    const key = keyOf(model);
    this.#states.delete(key);
    if (state.kind === 'closed' && state.faults === 0) return;
    if (this.#states.size >= BREAKERS_PER_URL_MAX) this.#forgetOne();
    this.#states.set(key, state);
  }

  /** The oldest that is still closed; else the oldest. */
  #forgetOne(): void {
    const keys = [...this.#states.keys()];
    const closed = keys.find((key) => this.#states.get(key)?.kind === 'closed');
    const [oldest = ''] = keys;
    this.#states.delete(closed ?? oldest);
  }
}

function keyOf(model: string): string {
  return model.length > MODEL_CHARS_MAX ? model.slice(0, MODEL_CHARS_MAX) : model;
}
