import { DIALECT_PATHS } from '@sanctum/contracts';
import type { ClientResponse } from '../dialects/client-response.js';
import type { RouterLimits } from '../limits.js';
import type { ExchangeStart } from '../proxy/exchange-start.js';
import type { PlannedRequest } from '../proxy/plan-request.js';
import { StrippedResponse } from './stripped-response.js';

const COMPLETION_TARGET = new RegExp(`^(?:${DIALECT_PATHS.chat}|/completions)(?:\\?|$)`);

/**
 * What the answer of a backend goes through. Completions can be stripped, those that are translated
 * afterwards as well; a dialect that the backend speaks itself has a form of its own for thoughts,
 * and its clients have to send them back.
 */
export function answerThrough(
  { response, edge, target }: ExchangeStart,
  plan: PlannedRequest | undefined,
  limits: RouterLimits,
): ClientResponse {
  if (plan?.backend.stripsThinking !== true) return response;
  const isCompletion = edge?.response.isTranslating ?? COMPLETION_TARGET.test(target);
  return isCompletion
    ? new StrippedResponse(response, { bytesMax: limits.translatedAnswerBytesMax })
    : response;
}
