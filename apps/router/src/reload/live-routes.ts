import type { RouterSection } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { compileRoutingTable } from '@sanctum/routing';
import {
  closeBackends,
  resolveBackends,
  type ResolveOptions,
} from '../upstream/resolve-backends.js';
import type { ActiveRoutes, Backend } from '../upstream/upstream.js';

/**
 * Owns the routes requests are planned by. They change as a whole: a request under way keeps the
 * version it was planned with, whose connections close when no such request can be left.
 */
export class LiveRoutes {
  readonly #options: ResolveOptions;
  readonly #retired = new Map<readonly Backend[], NodeJS.Timeout>();
  #section: RouterSection;
  #active: ActiveRoutes;
  #lastTurn: Promise<void> = Promise.resolve();

  private constructor(section: RouterSection, active: ActiveRoutes, options: ResolveOptions) {
    this.#section = section;
    this.#active = active;
    this.#options = options;
  }

  /** Throws `config_invalid` or `certificate_invalid`, with nothing left open. */
  static async open(section: RouterSection, options: ResolveOptions): Promise<LiveRoutes> {
    return new LiveRoutes(section, await openRoutes(section, options), options);
  }

  readonly current = (): ActiveRoutes => this.#active;

  /** All or nothing: throws as `open` does, and then the routes are what they were. */
  replace(section: RouterSection): Promise<void> {
    return this.#inTurn(() => this.#openAnew(section));
  }

  /** Takes over certificates as they are on disk, for the section that is in use by then. */
  renew(): Promise<void> {
    return this.#inTurn(() => this.#openAnew(this.#section));
  }

  /** Drops every upstream connection, those just being replaced too; requests under way fail. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      for (const timer of this.#retired.values()) clearTimeout(timer);
      const retired = [...this.#retired.keys()].flat();
      this.#retired.clear();
      await closeBackends([...backendsOf(this.#active), ...retired]);
    });
  }

  /** One at a time: what is slow to open must not overtake what was asked for after it. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#lastTurn.then(change);
    this.#lastTurn = turn.catch(() => undefined);
    return turn;
  }

  async #openAnew(section: RouterSection): Promise<void> {
    const next = await openRoutes(section, this.#options);
    const old = backendsOf(this.#active);
    this.#active = next;
    this.#section = section;
    this.#retireLater(old);
  }

  #retireLater(backends: readonly Backend[]): void {
    const longestMs = Math.max(...backends.map(({ policy }) => policy.totalMs));
    const timer = setTimeout(() => {
      this.#retired.delete(backends);
      void closeBackends(backends);
    }, longestMs);
    timer.unref();
    this.#retired.set(backends, timer);
  }
}

async function openRoutes(section: RouterSection, options: ResolveOptions): Promise<ActiveRoutes> {
  const backends = await resolveBackends(section, options);
  try {
    return activeRoutes(section, backends);
  } catch (error) {
    await closeBackends(backends);
    throw error;
  }
}

function activeRoutes(section: RouterSection, backends: readonly Backend[]): ActiveRoutes {
  const [first] = backends;
  if (first === undefined) {
    throw new SanctumError(
      'config_invalid',
      'services.router.backends declares no backend; name at least one, with its url.',
      { param: 'services.router.backends' },
    );
  }
  const table = compileRoutingTable({
    backends,
    defaultBackend: section.default ?? first.name,
    strictModels: section.strict_models,
    intentKeywords: section.intent_keywords,
  });
  return { table, backends: new Map(backends.map((backend) => [backend.name, backend])) };
}

function backendsOf(routes: ActiveRoutes): readonly Backend[] {
  return [...routes.backends.values()];
}
