import { SanctumError } from '@sanctum/errors';
import type { GenerationRequest } from './events.js';
import { DEFAULT_SCHEDULER_LIMITS, type SchedulerLimits } from './limits.js';

/** The limits asked for over the defaults; throws `config_invalid` naming one that makes no sense. */
export function resolveLimits(asked: Partial<SchedulerLimits>): SchedulerLimits {
  const limits = { ...DEFAULT_SCHEDULER_LIMITS, ...asked };
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new SanctumError(
        'config_invalid',
        `The limit ${name} must be a whole number above 0, found ${value}.`,
        { param: name },
      );
    }
  }
  if (limits.runningMax > limits.stepTokensMax) {
    throw new SanctumError(
      'config_invalid',
      `stepTokensMax (${limits.stepTokensMax}) must be at least runningMax (${limits.runningMax}), ` +
        'so that every answer gets its token in every step.',
      { param: 'stepTokensMax' },
    );
  }
  return limits;
}

/** Refuses a request whose tokens do not fit the model. */
export function assertRequest(
  { promptTokens, options }: GenerationRequest,
  { contextTokensMax, vocabSize }: { contextTokensMax: number; vocabSize: number },
): void {
  if (promptTokens.length === 0) {
    throw new SanctumError('invalid_request', 'The prompt is empty: send at least one token.', {
      param: 'prompt',
    });
  }
  if (promptTokens.length >= contextTokensMax) {
    throw new SanctumError(
      'context_length_exceeded',
      `The prompt has ${promptTokens.length} tokens; the context holds ${contextTokensMax} with ` +
        'the answer. Shorten the prompt.',
      { param: 'prompt' },
    );
  }
  const outside = promptTokens.find((token) => token < 0 || token >= vocabSize);
  if (outside !== undefined) {
    throw new SanctumError(
      'invalid_request',
      `The prompt holds the token ${outside}; the model has 0 to ${vocabSize - 1}.`,
      { param: 'prompt' },
    );
  }
  for (const token of options.sampling.logitBias.keys()) {
    if (token >= vocabSize) {
      throw new SanctumError(
        'invalid_request',
        `logit_bias names the token ${token}; the model has 0 to ${vocabSize - 1}.`,
        { param: 'logit_bias' },
      );
    }
  }
}
