import { SanctumError } from '@sanctum/errors';
import { chooseRoute, explainRoute, type RouteDecision } from '@sanctum/routing';
import type { CallerPolicy } from '../access/callers.js';
import { availabilityFor, type PlanContext } from '../proxy/plan-request.js';

export interface RouteQuestion {
  /** Undefined leaves the choice to the router, as `auto` does. */
  readonly model: string | undefined;
  readonly prompt: string;
  /** Of who asks; undefined for everything. */
  readonly policy: CallerPolicy | undefined;
}

export interface RouteDescription {
  readonly decision: RouteDecision;
  /** In words, the refusal included. */
  readonly explanation: readonly string[];
  /** The error that a request would get instead of being sent. */
  readonly refusal: { readonly code: string; readonly message: string } | null;
  readonly upstreams: readonly { readonly url: string; readonly model: string | null }[];
}

/** For `/v1/route`: what `planRequest` would choose for this caller, and why. */
export function describeRoute(
  context: PlanContext,
  { model, prompt, policy }: RouteQuestion,
): RouteDescription {
  const { table, backends } = context.routes();
  const query = { model, prompt: () => prompt };
  const decision = chooseRoute(table, query, availabilityFor(context, model, policy));
  const explanation = explainRoute(decision);
  if (decision.kind === 'refused') {
    const refusal = { code: 'model_not_found', message: explanation.at(-1) ?? '' };
    return { decision, explanation, refusal, upstreams: [] };
  }
  const forbidden = whyForbidden(policy, decision.backend);
  if (forbidden !== undefined) {
    const { code, message } = forbidden;
    const words = [...explanation, `Refused: ${message}`];
    return { decision, explanation: words, refusal: { code, message }, upstreams: [] };
  }
  const upstreams = (backends.get(decision.backend)?.upstreams ?? []).map(
    ({ url, defaultModel }) => ({ url, model: defaultModel?.name ?? decision.model ?? null }),
  );
  return { decision, explanation, refusal: null, upstreams };
}

function whyForbidden(policy: CallerPolicy | undefined, backend: string): SanctumError | undefined {
  try {
    policy?.assertMayUse(backend);
    return undefined;
  } catch (error) {
    if (error instanceof SanctumError) return error;
    throw error;
  }
}
