import type { ChatCompletionRequest, CompletionRequest } from '@sanctum/contracts';
import type { GenerationOptions, SamplingParams } from './request.js';

/**
 * Libraries compute in f32: closer to zero than these, values would divide by zero there, and mean
 * the same anyway: the best token alone, or the strongest possible penalty.
 */
const TEMPERATURE_MIN = 1e-5;
const TOP_P_MIN = 1e-6;
const REPETITION_PENALTY_MIN = 1e-3;
/** They count in 32 bits, where more would wrap around to a few; no vocabulary is larger. */
const TOP_K_MAX = 2 ** 31 - 1;

/**
 * What a checked request says about its answer, with OpenAI's defaults for what it leaves out:
 * temperature 1, nothing narrowed, no penalties, as many tokens as the context has room for.
 */
export function parseSampling(
  request: ChatCompletionRequest | CompletionRequest,
): GenerationOptions {
  const maxTokens = maxTokensOf(request);
  const logprobs = logprobsOf(request);
  return {
    sampling: samplingOf(request),
    ...(maxTokens === undefined ? {} : { maxTokens }),
    stop: request.stop ?? [],
    ...(logprobs === undefined ? {} : { logprobs }),
    ignoreEos: request.ignore_eos ?? false,
  };
}

function samplingOf(request: ChatCompletionRequest | CompletionRequest): SamplingParams {
  const temperature = request.temperature ?? 1;
  const bias = Object.entries(request.logit_bias ?? {});
  return {
    temperature: temperature < TEMPERATURE_MIN ? 0 : temperature,
    topK: Math.min(request.top_k ?? 0, TOP_K_MAX),
    topP: Math.max(request.top_p ?? 1, TOP_P_MIN),
    minP: request.min_p ?? 0,
    repetitionPenalty: Math.max(request.repetition_penalty ?? 1, REPETITION_PENALTY_MIN),
    presencePenalty: request.presence_penalty ?? 0,
    frequencyPenalty: request.frequency_penalty ?? 0,
    logitBias: new Map(bias.map(([token, value]) => [Number(token), value])),
    ...(request.seed === undefined ? {} : { seed: BigInt.asUintN(64, BigInt(request.seed)) }),
  };
}

/** `max_completion_tokens` is the later name of `max_tokens` and wins over it. */
function maxTokensOf(request: ChatCompletionRequest | CompletionRequest): number | undefined {
  const later = 'max_completion_tokens' in request ? request.max_completion_tokens : undefined;
  return later ?? request.max_tokens;
}

/** Chat asks with a flag and a count, completions with the count alone. */
function logprobsOf(request: ChatCompletionRequest | CompletionRequest): number | undefined {
  if (typeof request.logprobs === 'number') return request.logprobs;
  if (request.logprobs !== true) return undefined;
  return 'top_logprobs' in request ? (request.top_logprobs ?? 0) : 0;
}
