import { FAULT_KINDS, type BudgetScope } from '@sanctum/routing';
import { z } from 'zod';
import type { HealthRegistry } from './health-registry.js';
import type { UrlHealth } from './url-health.js';

const wallMs = z.number().min(0);
const breakerState = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('closed'), faults: z.int().min(1) }),
  z.strictObject({ kind: z.literal('open'), sinceMs: wallMs, lastFault: z.enum(FAULT_KINDS) }),
]);
const urlSnapshot = z.strictObject({
  backend: z.string(),
  url: z.string(),
  breakers: z.array(z.strictObject({ model: z.string(), state: breakerState })),
  coolUntilMs: wallMs,
  latency: z.strictObject({ emaS: z.number().min(0), slow: z.int().min(0) }).nullable(),
});
const budgetSnapshot = z.strictObject({
  scope: z.templateLiteral([z.enum(['backend', 'identity']), ':', z.string()]),
  day: z.iso.date(),
  tokens: z.int().min(0),
});

/** What is kept of the health of backends. */
export const healthSnapshotSchema = z.strictObject({
  version: z.literal(2),
  urls: z.array(urlSnapshot),
  budgets: z.array(budgetSnapshot),
});
export type HealthSnapshot = z.output<typeof healthSnapshotSchema>;

/** Only what is not at rest. Of a probe under way the result will never be known: it is open. */
export function takeSnapshot(registry: HealthRegistry): HealthSnapshot {
  const urls = [...registry.urls].map(snapshotOf).filter((url) => isWorthKeeping(url));
  const budgets = [...registry.budgets.uses].map(([scope, use]) => ({ scope, ...use }));
  return { version: 2, urls, budgets };
}

function snapshotOf({
  name,
  breakers,
  coolUntilMs,
  latency,
}: UrlHealth): HealthSnapshot['urls'][0] {
  return {
    ...name,
    breakers: [...breakers.entries].map(([model, state]) => {
      if (state.kind !== 'probing') return { model, state };
      const { sinceMs, lastFault } = state;
      return { model, state: { kind: 'open', sinceMs, lastFault } };
    }),
    coolUntilMs,
    latency: latency ?? null,
  };
}

function isWorthKeeping(url: HealthSnapshot['urls'][0]): boolean {
  return url.breakers.length > 0 || url.coolUntilMs > 0 || url.latency !== null;
}

/** Before the first request, and after `adopt`: what is kept of URLs that are still configured. */
export function restoreSnapshot(registry: HealthRegistry, snapshot: HealthSnapshot): void {
  for (const health of registry.urls) {
    const { backend, url } = health.name;
    const kept = snapshot.urls.find((one) => one.backend === backend && one.url === url);
    if (kept === undefined) continue;
    for (const { model, state } of kept.breakers) health.breakers.restore(model, state);
    health.coolUntilMs = kept.coolUntilMs;
    health.latency = kept.latency ?? undefined;
  }
  for (const { scope, day, tokens } of snapshot.budgets) {
    registry.budgets.restore(scope satisfies BudgetScope, { day, tokens });
  }
}
