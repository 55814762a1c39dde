import { SanctumError } from '@sanctum/errors';
import type { RoutingPolicy } from './backend-route.js';
import { isGlob, literalLength } from './glob.js';

export interface GlobRule {
  readonly pattern: string;
  readonly backend: string;
}

export interface IntentRule {
  readonly backend: string;
  /** Lower case. */
  readonly keywords: readonly string[];
}

/** A policy prepared for choice: a hash lookup, then globs by specificity, then intents. */
export interface RoutingTable {
  readonly exact: ReadonlyMap<string, readonly string[]>;
  readonly globs: readonly GlobRule[];
  readonly intents: readonly IntentRule[];
  readonly defaultBackend: string;
  readonly strictModels: boolean;
}

/**
 * A backend's own name counts as an exact model name. Throws `config_invalid` when the default or an
 * intent names no declared backend.
 */
export function compileRoutingTable(policy: RoutingPolicy): RoutingTable {
  const names = new Set(policy.backends.map(({ name }) => name));
  assertDeclared(names, policy.defaultBackend, 'default');
  const exact = new Map<string, string[]>();
  const globs: GlobRule[] = [];
  for (const { name, models } of policy.backends) {
    for (const model of new Set([name, ...models])) {
      if (isGlob(model)) {
        globs.push({ pattern: model, backend: name });
      } else {
        exact.set(model, [...(exact.get(model) ?? []), name]);
      }
    }
  }
  globs.sort((a, b) => literalLength(b.pattern) - literalLength(a.pattern));
  const intents = Object.entries(policy.intentKeywords).map(([backend, words]) => {
    assertDeclared(names, backend, `intent_keywords.${backend}`);
    const keywords = words.map((word) => word.toLowerCase()).filter((word) => word !== '');
    return { backend, keywords };
  });
  const { defaultBackend, strictModels } = policy;
  return { exact, globs, intents, defaultBackend, strictModels };
}

function assertDeclared(names: ReadonlySet<string>, name: string, where: string): void {
  if (!names.has(name)) {
    throw new SanctumError(
      'config_invalid',
      `services.router.${where} names backend "${name}", which is not declared; ` +
        `declared are: ${[...names].join(', ') || 'none'}.`,
      { param: where },
    );
  }
}
