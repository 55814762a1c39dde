import type { ModelEntry } from '@sanctum/contracts';
import type { Backend } from '../upstream/upstream.js';
import type { BackendState } from './backend-probe.js';

export type ListedModel = ModelEntry;

/** Names in the order of the backends, each once; globs are no names. */
export function listModels(
  backends: readonly Backend[],
  states: readonly Pick<BackendState, 'name' | 'models'>[],
): ListedModel[] {
  const owners = new Map<string, string>();
  for (const { name, models, upstreams } of backends) {
    const upstreamIds = states.find((state) => state.name === name)?.models ?? [];
    const defaults = upstreams.flatMap(({ defaultModel }) => defaultModel?.name ?? []);
    for (const id of [name, ...models, ...defaults, ...upstreamIds]) {
      if (!owners.has(id) && !/[*?]/.test(id)) owners.set(id, name);
    }
  }
  return [...owners].map(([id, owner]) => ({ id, object: 'model', created: 0, owned_by: owner }));
}
