import { ALWAYS_AVAILABLE, type AvailabilityOf } from './backend-route.js';
import { matchesGlob } from './glob.js';
import type { RoutingTable } from './routing-table.js';

/** The tiers of choice, in the order in which they are tried. */
export type RouteRule = 'exact' | 'glob' | 'intent' | 'default';

export interface RouteQuery {
  /** The `model` of the request; missing and `auto` leave the choice to intent. */
  readonly model: string | undefined;
  /** Text of the last user message; asked for only when intent is looked at. */
  readonly prompt: () => string;
}

/** One look at one candidate, in the order in which it happened. */
export interface RouteStep {
  readonly rule: RouteRule;
  readonly outcome: 'matched' | 'unavailable' | 'no_match' | 'not_asked' | 'refused';
  readonly backend?: string;
  /** The name, pattern or keyword that matched. */
  readonly by?: string;
  /** Why a matching backend was passed over. */
  readonly reason?: string;
}

export type RouteDecision =
  | {
      readonly kind: 'routed';
      readonly backend: string;
      readonly rule: RouteRule;
      readonly model: string | undefined;
      /** The name matched nothing and the default was taken. */
      readonly unknownModel: boolean;
      readonly steps: readonly RouteStep[];
    }
  | {
      readonly kind: 'refused';
      readonly model: string;
      readonly steps: readonly RouteStep[];
    };

/** The `model` with which a client leaves the choice to the router. */
export const AUTO_MODEL = 'auto';

interface Choice {
  readonly table: RoutingTable;
  readonly model: string | undefined;
  readonly availabilityOf: AvailabilityOf;
  readonly steps: RouteStep[];
}

/**
 * Exact name, then the most specific glob, then intent (only without a model or with `auto`), then
 * the default. A backend that is not available is passed over at every tier except the last: the
 * default is returned even when it is unavailable, so that a caller meets a deterministic error.
 */
export function chooseRoute(
  table: RoutingTable,
  query: RouteQuery,
  availabilityOf: AvailabilityOf = ALWAYS_AVAILABLE,
): RouteDecision {
  const { model } = query;
  const choice: Choice = { table, model, availabilityOf, steps: [] };
  if (model === undefined || model === AUTO_MODEL) {
    choice.steps.push(
      { rule: 'exact', outcome: 'not_asked' },
      { rule: 'glob', outcome: 'not_asked' },
    );
    const backend = byIntent(choice, query.prompt);
    return backend === undefined
      ? takeDefault(choice, model, false)
      : routed(choice, { backend, rule: 'intent', model });
  }
  const exact = byExactName(choice, model);
  if (exact !== undefined) return routed(choice, { backend: exact, rule: 'exact', model });
  const glob = byGlob(choice, model);
  if (glob !== undefined) return routed(choice, { backend: glob, rule: 'glob', model });
  choice.steps.push({ rule: 'intent', outcome: 'not_asked' });
  const known = choice.steps.some(({ outcome }) => outcome === 'unavailable');
  if (!known && table.strictModels) {
    choice.steps.push({ rule: 'default', outcome: 'refused' });
    return { kind: 'refused', model, steps: choice.steps };
  }
  return takeDefault(choice, model, !known);
}

function byExactName(choice: Choice, model: string): string | undefined {
  const candidates = choice.table.exact.get(model);
  if (candidates !== undefined) {
    for (const backend of candidates) {
      if (consider(choice, { rule: 'exact', backend, by: model })) return backend;
    }
    return undefined;
  }
  choice.steps.push({ rule: 'exact', outcome: 'no_match' });
  return undefined;
}

function byGlob(choice: Choice, model: string): string | undefined {
  let matched = false;
  for (const { pattern, backend } of choice.table.globs) {
    if (!matchesGlob(pattern, model)) continue;
    matched = true;
    if (consider(choice, { rule: 'glob', backend, by: pattern })) return backend;
  }
  if (!matched) choice.steps.push({ rule: 'glob', outcome: 'no_match' });
  return undefined;
}

function byIntent(choice: Choice, prompt: () => string): string | undefined {
  const { intents } = choice.table;
  if (intents.length > 0) {
    const text = prompt().slice(0, INTENT_TEXT_CHARS_MAX).toLowerCase();
    for (const { backend, keywords } of intents) {
      const by = keywords.find((word) => text.includes(word));
      if (by !== undefined && consider(choice, { rule: 'intent', backend, by })) return backend;
    }
  }
  if (!choice.steps.some(({ rule, outcome }) => rule === 'intent' && outcome === 'unavailable')) {
    choice.steps.push({ rule: 'intent', outcome: 'no_match' });
  }
  return undefined;
}

/** Characters of the last user message in which keywords are looked for. */
export const INTENT_TEXT_CHARS_MAX = 65_536;

function consider(
  choice: Choice,
  { rule, backend, by }: { rule: RouteRule; backend: string; by: string },
): boolean {
  const { available, reason = 'unavailable' } = choice.availabilityOf(backend, choice.model);
  choice.steps.push(
    available
      ? { rule, outcome: 'matched', backend, by }
      : { rule, outcome: 'unavailable', backend, by, reason },
  );
  return available;
}

function takeDefault(
  choice: Choice,
  model: string | undefined,
  unknownModel: boolean,
): RouteDecision {
  const backend = choice.table.defaultBackend;
  const { available, reason } = choice.availabilityOf(backend, choice.model);
  choice.steps.push({
    rule: 'default',
    outcome: 'matched',
    backend,
    ...(available ? {} : { reason: reason ?? 'unavailable' }),
  });
  return { kind: 'routed', backend, rule: 'default', model, unknownModel, steps: choice.steps };
}

function routed(
  choice: Choice,
  taken: { backend: string; rule: RouteRule; model: string | undefined },
): RouteDecision {
  return { kind: 'routed', ...taken, unknownModel: false, steps: choice.steps };
}
