/** Why an answer ended: the model or a stop sequence ended it, or it ran out of tokens. */
export type FinishReason = 'stop' | 'length';

/** How tokens are drawn; the fields of `NativeSampling` that do not change within an answer. */
export interface SamplingParams {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly logitBias: ReadonlyMap<number, number>;
  /** Unsigned 64-bit; left out, every request draws its own. */
  readonly seed?: bigint;
}

/** The most likely token each time, as the model has them. */
export const GREEDY: SamplingParams = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
};

/** All that a request says about its answer, whatever its prompt. */
export interface GenerationOptions {
  readonly sampling: SamplingParams;
  /** Left out: as many as the context has room for. */
  readonly maxTokens?: number;
  /** The answer ends before the first of these; at most four, none empty. */
  readonly stop: readonly string[];
  /** Report log-probabilities, each with this many alternatives (0 to 20). */
  readonly logprobs?: number;
  /** Go on after end-of-sequence, up to `maxTokens`: for measurements. */
  readonly ignoreEos: boolean;
}

/**
 * A token as a reader sees it, special ones by their name. `bytes` tells the truth: what the token
 * adds to the answer, where `text` had to replace a cut byte, and nothing for special ones.
 */
export interface TokenText {
  readonly token: number;
  readonly text: string;
  readonly bytes: readonly number[];
  /** Natural logarithm. */
  readonly logprob: number;
}

/** A token of the answer with the alternatives it was drawn among, best first. */
export interface TokenReport extends TokenText {
  readonly top: readonly TokenText[];
}
