import type { Program } from '@sanctum/kernels';
import type { ModelWeights } from './model-weights.js';

/** One kind of model: reads its configuration, then records itself. */
export interface Architecture {
  /**
   * @param config flattened config.json
   * @throws model_invalid naming the keys at fault
   */
  parse(config: Record<string, unknown>): ModelGraph;
}

export interface ModelGraph {
  readonly vocabSize: number;
  /** Tokens the model was made for. */
  readonly contextLength: number;
  /** Keys and values that a sequence keeps of each token, in elements. */
  readonly keyValueElementsPerToken: number;
  /** f32 elements of a sequence's recurrent states and convolution tails. */
  readonly stateElements: number;
  /** Appends every operation of a step, logits last. */
  record(program: Program, weights: ModelWeights): void;
}
