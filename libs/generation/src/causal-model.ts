/** What a loaded model says about itself. Lengths and sizes are counted in tokens. */
export interface ModelInfo {
  readonly modelType: string;
  /** Rows of the embedding: every token id is below it. */
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly eosTokenIds: readonly number[];
  readonly parameterCount: number;
  /** Bytes that a sequence's caches grow by with each token: keys and values of all layers. */
  readonly cacheBytesPerToken: number;
  /** Bytes of a sequence's caches that do not grow: recurrent states, convolution tails. */
  readonly cacheBytesPerSequence: number;
}

/** One conversation's caches in a model: key/value pages, recurrent state, convolution tail. */
export interface ModelSequence {
  /** Tokens the sequence has taken in. */
  readonly length: number;
  /** A second sequence with the same past; neither sees what the other takes in afterwards. */
  fork(): ModelSequence;
  /** Gives the caches back. A freed sequence may not be stepped or forked. */
  free(): void;
}

/** Which of a span's rows get logits: none, its last token, or every token. */
export type SpanLogits = 'none' | 'last' | 'all';

/** Consecutive tokens of one sequence inside one step: a prompt's chunk, or one decoded token. */
export interface StepSpan {
  readonly sequence: ModelSequence;
  /** At least one token id, each in [0, vocabSize). */
  readonly tokens: Int32Array;
  readonly logits: SpanLogits;
}

/**
 * Order of application: penalties, `logitBias`, top-k, top-p, min-p, temperature, then argmax
 * (temperature 0; the lowest token on a tie) or a categorical draw by (`seed`, `counter`).
 */
export interface NativeSampling {
  /** 0 picks the most likely token. */
  readonly temperature: number;
  /** 0 keeps every token. */
  readonly topK: number;
  /** 1 keeps every token. */
  readonly topP: number;
  /** 0 keeps every token. */
  readonly minP: number;
  /** 1 changes nothing; counts all of `history`. */
  readonly repetitionPenalty: number;
  /** 0 changes nothing; counts `history` after the prompt. */
  readonly presencePenalty: number;
  /** 0 changes nothing; counts `history` after the prompt. */
  readonly frequencyPenalty: number;
  /** The token ids that the penalties count: the prompt, then the answer so far. */
  readonly history: Int32Array;
  /** How many tokens of `history` are the prompt. */
  readonly promptCount: number;
  /** Added to the logits, by token id. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** Unsigned 64-bit. The same seed and counter draw the same token from the same logits. */
  readonly seed: bigint;
  /** Index of the drawn token within its answer. */
  readonly counter: number;
  /** How many alternatives to report in `top`; 0 for none. */
  readonly topLogprobs: number;
}

/** A token and the natural logarithm of its probability by the model alone, nothing applied. */
export interface TokenLogprob {
  readonly token: number;
  readonly logprob: number;
}

export interface SampledToken extends TokenLogprob {
  /** The most likely tokens, best first; present when `topLogprobs` asked for some. */
  readonly top?: readonly TokenLogprob[];
}

/**
 * A model that a scheduler can drive. One step takes spans of any number of sequences, at most one
 * span per sequence; its logits stay readable until the next step. Calls never overlap.
 */
export interface CausalModel {
  readonly info: ModelInfo;
  createSequence(): ModelSequence;
  /** Runs one ragged batch; a step that throws leaves every sequence as it was. */
  step(spans: readonly StepSpan[]): void;
  /** Samples from a row: an index among the rows the last step's spans asked for, in span order. */
  sample(row: number, params: NativeSampling): SampledToken;
  /** The raw logits of such a row: `vocabSize` numbers, a copy. */
  readLogits(row: number): Float32Array;
  free(): void;
}
