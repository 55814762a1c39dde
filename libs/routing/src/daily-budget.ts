import type { LocalCalendar } from './local-day.js';

/** Who spends: one backend, or one caller. */
export type BudgetScope = `backend:${string}` | `identity:${string}`;

export interface BudgetUse {
  readonly day: string;
  readonly tokens: number;
}

export interface BudgetStanding {
  readonly cap: number;
  readonly used: number;
  readonly left: number;
  /** The zone's next midnight. */
  readonly resetsAtMs: number;
}

/**
 * Completion tokens spent today, per scope; only scopes with a cap are counted. Tokens are known when
 * an answer ends, so requests under way together may overshoot a cap by what they produce.
 */
export class DailyBudgets {
  readonly #calendar: LocalCalendar;
  readonly #caps = new Map<BudgetScope, number>();
  readonly #uses = new Map<BudgetScope, BudgetUse>();

  constructor(calendar: LocalCalendar) {
    this.#calendar = calendar;
  }

  get uses(): ReadonlyMap<BudgetScope, BudgetUse> {
    return this.#uses;
  }

  /** Sets or takes away a cap; what was spent today stays spent, also when a cap is set anew. */
  setCap(scope: BudgetScope, cap: number | undefined): void {
    if (cap === undefined) this.#caps.delete(scope);
    else this.#caps.set(scope, cap);
  }

  /** Undefined for a scope without a cap. */
  standing(scope: BudgetScope, nowMs: number): BudgetStanding | undefined {
    const cap = this.#caps.get(scope);
    if (cap === undefined) return undefined;
    const { key, endMs } = this.#calendar.at(nowMs);
    const used = useOn(this.#uses.get(scope), key).tokens;
    return { cap, used, left: Math.max(0, cap - used), resetsAtMs: endMs };
  }

  isSpent(scope: BudgetScope, nowMs: number): boolean {
    const cap = this.#caps.get(scope);
    if (cap === undefined) return false;
    return useOn(this.#uses.get(scope), this.#calendar.at(nowMs).key).tokens >= cap;
  }

  /** Counts tokens; true when they were the ones that spent the budget. */
  spend(scope: BudgetScope, tokens: number, nowMs: number): boolean {
    const cap = this.#caps.get(scope);
    if (cap === undefined || tokens <= 0) return false;
    const { key } = this.#calendar.at(nowMs);
    const { day, tokens: before } = useOn(this.#uses.get(scope), key);
    this.#uses.set(scope, { day, tokens: before + tokens });
    return before < cap && before + tokens >= cap;
  }

  /** Puts in what was kept on disk. */
  restore(scope: BudgetScope, use: BudgetUse): void {
    this.#uses.set(scope, use);
  }
}

const DAY_MS = 86_400_000;

/**
 * A new day starts at nothing. A clock that was set back frees nothing: over one midnight the later
 * day goes on; a day further ahead was never there, and its tokens belong to today.
 */
function useOn(use: BudgetUse | undefined, day: string): BudgetUse {
  if (use === undefined || use.day < day) return { day, tokens: 0 };
  if (use.day === day) return use;
  const isNear = Date.parse(use.day) - Date.parse(day) <= DAY_MS;
  return isNear ? use : { day, tokens: use.tokens };
}
