import { GREEDY, type CausalModel } from '@sanctum/generation';

/** One token from a sequence of its own: warms a model up, and proves that it computes. */
export function computeOneToken(model: CausalModel): void {
  const sequence = model.createSequence();
  try {
    model.step([{ sequence, tokens: Int32Array.of(0), logits: 'last' }]);
    model.sample(0, {
      ...GREEDY,
      history: new Int32Array(),
      promptCount: 0,
      seed: 0n,
      counter: 0,
      topLogprobs: 0,
    });
  } finally {
    sequence.free();
  }
}
