import type { RouterSection } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { RateLimit, type AvailabilityOf } from '@sanctum/routing';
import type { HealthRegistry } from '../health/health-registry.js';

type CallerSection = RouterSection['callers'][string];

/** What one caller may do. Callers that instance.yaml does not name may do everything. */
export class CallerPolicy {
  readonly #name: string;
  readonly #backends: ReadonlySet<string> | undefined;
  readonly #perMinute: number | undefined;
  readonly #rate: RateLimit | undefined;
  readonly #health: HealthRegistry;

  constructor(name: string, section: CallerSection, health: HealthRegistry) {
    this.#name = name;
    this.#backends = section.backends === undefined ? undefined : new Set(section.backends);
    this.#perMinute = section.requests_per_minute;
    this.#rate = this.#perMinute === undefined ? undefined : new RateLimit(this.#perMinute);
    this.#health = health;
    health.budgets.setCap(this.#scope, section.daily_cap_completion_tokens);
  }

  /** Counts one request; the error it gets when it is one too many or the tokens are spent. */
  refusal(): SanctumError | undefined {
    const nowMs = this.#health.now();
    const { budgets } = this.#health;
    if (budgets.isSpent(this.#scope, nowMs)) {
      const resetsAtMs = budgets.standing(this.#scope, nowMs)?.resetsAtMs ?? nowMs;
      return new SanctumError(
        'budget_spent',
        `"${this.#name}" has spent its completion tokens of today; it may go on after midnight.`,
        { retryAfterS: Math.ceil((resetsAtMs - nowMs) / 1_000) },
      );
    }
    const waitMs = this.#rate?.take(performance.now()) ?? 0;
    if (waitMs === 0) return undefined;
    return new SanctumError(
      'rate_limited',
      `"${this.#name}" may send ${this.#perMinute} requests a minute.`,
      { retryAfterS: Math.ceil(waitMs / 1_000) },
    );
  }

  mayUse(backend: string): boolean {
    return this.#backends?.has(backend) ?? true;
  }

  /** As what it may not use looks to a choice that is left to the router. */
  narrow(availabilityOf: AvailabilityOf): AvailabilityOf {
    return (backend, model) =>
      this.mayUse(backend)
        ? availabilityOf(backend, model)
        : { available: false, reason: `not allowed for ${this.#name}` };
  }

  /** Throws `forbidden` for a backend the caller named, or that was all choice could find. */
  assertMayUse(backend: string): void {
    if (this.mayUse(backend)) return;
    const allowed = [...(this.#backends ?? [])].join(', ');
    throw new SanctumError(
      'forbidden',
      `"${this.#name}" may not use backend "${backend}"; it may use ${allowed}.`,
    );
  }

  spend(tokens: number): void {
    const { budgets } = this.#health;
    const nowMs = this.#health.now();
    if (budgets.standing(this.#scope, nowMs) === undefined) return;
    budgets.spend(this.#scope, tokens, nowMs);
    this.#health.revision++;
  }

  /** As `/v1/backends` shows it. */
  describe(): Record<string, unknown> {
    const standing = this.#health.budgets.standing(this.#scope, this.#health.now());
    return {
      name: this.#name,
      backends: this.#backends === undefined ? undefined : [...this.#backends],
      requests_per_minute: this.#perMinute,
      daily_cap_completion_tokens: standing?.cap,
      completion_tokens_left: standing?.left,
    };
  }

  /** Before it is replaced by one from a newer configuration. */
  release(): void {
    this.#health.budgets.setCap(this.#scope, undefined);
  }

  get #scope(): `identity:${string}` {
    return `identity:${this.#name}`;
  }
}

/** The policies of instance.yaml by caller; what a caller has spent today outlives a change. */
export class Callers {
  readonly #health: HealthRegistry;
  #policies = new Map<string, CallerPolicy>();

  constructor(section: RouterSection, health: HealthRegistry) {
    this.#health = health;
    this.adopt(section);
  }

  adopt({ callers }: RouterSection): void {
    for (const policy of this.#policies.values()) policy.release();
    this.#policies = new Map(
      Object.entries(callers).map(([name, section]) => [
        name,
        new CallerPolicy(name, section, this.#health),
      ]),
    );
  }

  of(identity: string): CallerPolicy | undefined {
    return this.#policies.get(identity);
  }

  describe(): Record<string, unknown>[] {
    return [...this.#policies.values()].map((policy) => policy.describe());
  }
}
