import {
  DailyBudgets,
  LocalCalendar,
  type Availability,
  type BudgetScope,
  type BudgetUse,
} from '@sanctum/routing';
import type { Backend } from '../upstream/upstream.js';
import { BackendHealth } from './backend-health.js';
import { UrlHealth, type UrlName } from './url-health.js';

/** What happened to a backend that an operator wants to know. */
export type HealthEvent =
  | {
      readonly kind: 'breaker_opened' | 'breaker_closed';
      readonly name: UrlName;
      readonly model: string;
      /** What the last fault was; of an opened breaker. */
      readonly errorClass: string | undefined;
    }
  | {
      readonly kind: 'budget_spent';
      readonly backend: string;
      readonly cap: number;
      readonly used: number;
      readonly resetsAtMs: number;
    };

export interface HealthRegistryOptions {
  /** Of the instance: when a day ends. */
  readonly timeZone: string;
  /** Wall-clock milliseconds. */
  readonly now?: () => number;
}

const AVAILABLE: Availability = { available: true };
const BREAKER_OPEN: Availability = { available: false, reason: 'breaker open' };

/**
 * Everything known about how backends do: in memory, asked and told in constant time. Keyed by
 * backend and URL, so that it outlives a change of configuration.
 */
export class HealthRegistry {
  readonly now: () => number;
  readonly budgets: DailyBudgets;
  /** Counts changes: what is on disk is current when its number is this one. */
  revision = 0;
  onEvent: (event: HealthEvent) => void = () => undefined;
  readonly #urls = new Map<string, UrlHealth>();
  #bound = new WeakMap<Backend, BackendHealth>();

  constructor(options: HealthRegistryOptions) {
    this.now = options.now ?? Date.now;
    this.budgets = new DailyBudgets(new LocalCalendar(options.timeZone));
  }

  get urls(): Iterable<UrlHealth> {
    return this.#urls.values();
  }

  of(backend: Backend): BackendHealth {
    const bound = this.#bound.get(backend);
    return bound ?? this.#bind(backend);
  }

  /** Takes a configuration over: its thresholds and caps count, what is not in it is forgotten. */
  adopt(backends: Iterable<Backend>): void {
    const named = new Set<string>();
    const scopes = new Set<BudgetScope>();
    for (const backend of backends) {
      const bound = this.#bind(backend);
      for (const { name } of bound.urls) named.add(keyOf(name));
      scopes.add(bound.scope);
      this.budgets.setCap(bound.scope, backend.resilience.dailyCapTokens);
    }
    for (const key of this.#urls.keys()) if (!named.has(key)) this.#urls.delete(key);
    for (const scope of this.budgets.uses.keys()) {
      if (scope.startsWith('backend:') && !scopes.has(scope)) this.budgets.setCap(scope, undefined);
    }
    this.revision++;
  }

  availabilityOf(backend: Backend, model: string | undefined): Availability {
    const bound = this.of(backend);
    const nowMs = this.now();
    if (this.budgets.isSpent(bound.scope, nowMs)) {
      const resetsAtMs = this.budgets.standing(bound.scope, nowMs)?.resetsAtMs ?? nowMs;
      const until = new Date(resetsAtMs).toISOString();
      return { available: false, reason: `budget spent until ${until}` };
    }
    return bound.isReachable(model, nowMs) ? AVAILABLE : BREAKER_OPEN;
  }

  /** Counts completion tokens of an answer. */
  spend(bound: BackendHealth, tokens: number): void {
    const nowMs = this.now();
    if (this.budgets.standing(bound.scope, nowMs) === undefined) return;
    const isSpentNow = this.budgets.spend(bound.scope, tokens, nowMs);
    this.revision++;
    const standing = this.budgets.standing(bound.scope, nowMs);
    if (!isSpentNow || standing === undefined) return;
    const { cap, used, resetsAtMs } = standing;
    this.onEvent({ kind: 'budget_spent', backend: bound.backend.name, cap, used, resetsAtMs });
  }

  /** What is known of a URL, made when it is not there yet. */
  url(name: UrlName, make: () => UrlHealth): UrlHealth {
    const key = keyOf(name);
    const known = this.#urls.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#urls.set(key, made);
    return made;
  }

  restoreUse(scope: BudgetScope, use: BudgetUse): void {
    this.budgets.restore(scope, use);
  }

  #bind(backend: Backend): BackendHealth {
    const { resilience } = backend;
    const urls = backend.upstreams.map(({ url }) => {
      const name = { backend: backend.name, url };
      const health = this.url(name, () => new UrlHealth(name, resilience));
      health.resilience = resilience;
      return health;
    });
    const bound = new BackendHealth(backend, urls);
    this.#bound.set(backend, bound);
    return bound;
  }
}

function keyOf({ backend, url }: UrlName): string {
  return `${backend} ${url}`;
}
