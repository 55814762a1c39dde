/** What choice needs to know of one backend. */
export interface BackendRoute {
  readonly name: string;
  /** Exact model names and globs (`*` any run of characters, `?` one character). */
  readonly models: readonly string[];
}

/** The routing part of `services.router`, already validated. */
export interface RoutingPolicy {
  /** In declared order, which breaks ties. */
  readonly backends: readonly BackendRoute[];
  /** Name of the default backend. */
  readonly defaultBackend: string;
  /** A name that matches nothing is refused instead of going to the default. */
  readonly strictModels: boolean;
  /** Backend name to words looked for in the last user message. */
  readonly intentKeywords: Readonly<Record<string, readonly string[]>>;
}

export interface Availability {
  readonly available: boolean;
  /** Why not, in a few words: `breaker open`, `budget spent`. */
  readonly reason?: string;
}

/** Asked once per candidate, with the client's model; breakers and budgets answer it. */
export type AvailabilityOf = (backend: string, model: string | undefined) => Availability;

export const ALWAYS_AVAILABLE: AvailabilityOf = () => AVAILABLE;

const AVAILABLE: Availability = { available: true };
