import type { SamplingStruct } from './native-structs.js';

export const MAX_TOP_LOGPROBS = 20;

/**
 * Order of application: tokenMask, penalties, logitBias, topK, topP, minP, temperature, draw.
 * Everything left out is off; temperature 0 (the default) takes the most likely token, the lowest
 * id on a tie.
 */
export interface SamplingParams {
  readonly temperature?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly topK?: number;
  /** Over all of `history`; 1 is off. */
  readonly repetitionPenalty?: number;
  /** Over `history` after the first `promptCount` tokens. */
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly history?: Int32Array;
  readonly promptCount?: number;
  readonly logitBias?: { readonly tokens: Int32Array; readonly values: Float32Array };
  /** One bit per token of the vocabulary, lowest bit first; 1: allowed. */
  readonly tokenMask?: Uint32Array;
  /** 0..20 alternatives to report. */
  readonly topLogprobs?: number;
  /** (seed, counter) fixes the draw; count one up per token. Unsigned 64-bit. */
  readonly seed?: number | bigint;
  readonly counter?: number | bigint;
}

export interface TokenLogprob {
  readonly token: number;
  /** Natural logarithm, of the model's own distribution: no penalty, no temperature. */
  readonly logprob: number;
}

export interface SampledToken extends TokenLogprob {
  /** Most likely first; present when topLogprobs was above 0. */
  readonly top?: readonly TokenLogprob[];
}

/** Bytes of sk_sampled: token, logprob, count and two arrays of MAX_TOP_LOGPROBS. */
export const SAMPLED_BYTES = 4 * (3 + 2 * MAX_TOP_LOGPROBS);

export function samplingStruct(params: SamplingParams): SamplingStruct {
  return {
    temperature: params.temperature ?? 0,
    top_p: params.topP ?? 1,
    min_p: params.minP ?? 0,
    top_k: params.topK ?? 0,
    ...penaltyFields(params),
    bias_count: params.logitBias?.tokens.length ?? 0,
    mask_words: params.tokenMask?.length ?? 0,
    top_logprobs: params.topLogprobs ?? 0,
    seed: params.seed ?? 0,
    counter: params.counter ?? 0,
  };
}

function penaltyFields(params: SamplingParams) {
  return {
    repetition_penalty: params.repetitionPenalty ?? 1,
    presence_penalty: params.presencePenalty ?? 0,
    frequency_penalty: params.frequencyPenalty ?? 0,
    prompt_count: params.promptCount ?? 0,
    history_count: params.history?.length ?? 0,
  };
}

export function readSampled(bytes: Uint8Array): SampledToken {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const token = view.getInt32(0, true);
  const logprob = view.getFloat32(4, true);
  const count = view.getUint32(8, true);
  if (count === 0) return { token, logprob };
  const top = Array.from({ length: count }, (_, index) => ({
    token: view.getInt32(12 + 4 * index, true),
    logprob: view.getFloat32(12 + 4 * (MAX_TOP_LOGPROBS + index), true),
  }));
  return { token, logprob, top };
}
