import { readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { CausalModel } from '@sanctum/generation';
import { readExpected, type ExpectedPrompt } from './testing/expected.js';
import { difference, GREEDY, LoadedModel } from './testing/loaded-model.js';
import { FIXTURES } from './testing/model-folder.js';

const LOGIT_DIFFERENCE_MAX = 5e-4;

describe('exact mode against mlx-lm', () => {
  it.each(readdirSync(FIXTURES))('%s', (name) => {
    using loaded = LoadedModel.fixture(name, { mode: 'exact' });
    const prompts = readExpected(name, loaded.model.info.vocabSize);
    expect(prompts).toHaveLength(10);
    for (const prompt of prompts) {
      const { worst, tokens } = replay(loaded.model, prompt);
      expect(tokens).toEqual(prompt.greedy);
      expect(worst).toBeLessThanOrEqual(LOGIT_DIFFERENCE_MAX);
    }
  });
});

/** Prefills the prompt, then decodes greedily, comparing what was recorded on the way. */
function replay(model: CausalModel, prompt: ExpectedPrompt): { worst: number; tokens: number[] } {
  const sequence = model.createSequence();
  const { length } = prompt.tokens;
  model.step([{ sequence, tokens: prompt.tokens, logits: 'all' }]);
  const first = length - prompt.prefill.length;
  const differences = prompt.prefill.map((row, i) => difference(model.readLogits(first + i), row));
  const tokens = [model.sample(length - 1, GREEDY).token];
  while (tokens.length < prompt.greedy.length) {
    model.step([{ sequence, tokens: Int32Array.from(tokens.slice(-1)), logits: 'last' }]);
    tokens.push(model.sample(0, GREEDY).token);
  }
  differences.push(difference(model.readLogits(0), prompt.continued));
  expect(sequence.length).toBe(length + tokens.length - 1);
  sequence.free();
  return { worst: Math.max(...differences), tokens };
}
