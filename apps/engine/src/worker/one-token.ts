import type { CausalModel } from '@sanctum/generation';

/** One token from a sequence of its own: warms a model up, and proves that it computes. */
export function computeOneToken(model: CausalModel): void {
  const sequence = model.createSequence();
  try {
    model.step([{ sequence, tokens: Int32Array.of(0), logits: 'last' }]);
    model.sample(0, {
      temperature: 0,
      topK: 0,
      topP: 1,
      minP: 0,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      history: new Int32Array(),
      promptCount: 0,
      logitBias: new Map(),
      seed: 0n,
      counter: 0,
      topLogprobs: 0,
    });
  } finally {
    sequence.free();
  }
}
