import type { RouteDecision, RouteStep } from './choose-route.js';

/** One sentence per step, then one for the outcome: the words of `GET /v1/route`. */
export function explainRoute(decision: RouteDecision): string[] {
  return [...decision.steps.map((step) => sentence(step, decision)), conclusion(decision)];
}

function sentence(step: RouteStep, decision: RouteDecision): string {
  switch (step.outcome) {
    case 'matched':
      return step.rule === 'default' ? defaultSentence(step) : `${candidate(step)}.`;
    case 'unavailable':
      return `${candidate(step)} but was passed over: ${step.reason ?? 'unavailable'}.`;
    case 'no_match':
      return step.rule === 'intent'
        ? 'intent: no keyword occurs in the last user message.'
        : `${step.rule}: nothing matches "${decision.model ?? ''}".`;
    case 'not_asked':
      return step.rule === 'intent'
        ? 'intent: not looked at, because the request names a model.'
        : `${step.rule}: not looked at, because the request leaves the choice open.`;
    case 'refused':
      return 'default: not taken, because strict_models is on.';
  }
}

function candidate({ rule, backend, by }: RouteStep): string {
  return `${rule}: ${backend ?? 'none'} matched by "${by ?? ''}"`;
}

function defaultSentence({ backend, reason }: RouteStep): string {
  const name = backend ?? 'none';
  return reason === undefined
    ? `default: ${name}.`
    : `default: ${name}, although it is not available (${reason}): its error is the answer.`;
}

function conclusion(decision: RouteDecision): string {
  if (decision.kind === 'refused') {
    return `Refused: no backend serves "${decision.model}".`;
  }
  const unknown = decision.unknownModel ? ' (the name is unknown; the answer says so)' : '';
  return `Routed to ${decision.backend} by ${decision.rule}${unknown}.`;
}
