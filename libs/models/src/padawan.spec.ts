import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { createChatTemplate, createTokenizer, type CausalModel } from '@sanctum/generation';
import { GREEDY, LoadedModel } from './testing/loaded-model.js';

const MODELS = path.resolve(import.meta.dirname, '../../../deploy/models');
const FOLDER = `${MODELS}/padawan`;
const ANSWER_TOKENS_MAX = 64;

interface Smoke {
  readonly prompts: readonly { readonly prompt: string; readonly contains: string }[];
}

const config = readFileSync(`${FOLDER}/tokenizer_config.json`, 'utf8');
const tokenizer = createTokenizer(readFileSync(`${FOLDER}/tokenizer.json`, 'utf8'), config);
const template = createChatTemplate({ config });
const smoke = JSON.parse(readFileSync(`${MODELS}/parity-smoke.json`, 'utf8')) as Smoke;

describe('padawan', () => {
  it.each(['exact', 'fast'] as const)('answers the ten parity prompts in %s mode', (mode) => {
    using loaded = new LoadedModel(FOLDER, { mode });
    expect(smoke.prompts).toHaveLength(10);
    for (const { prompt, contains } of smoke.prompts) {
      expect(answer(loaded.model, prompt).text).toContain(contains);
    }
  });

  it('answers token for token the same in both modes, and ends its turns', () => {
    using exact = new LoadedModel(FOLDER, { mode: 'exact' });
    using fast = new LoadedModel(FOLDER, { mode: 'fast' });
    for (const { prompt } of smoke.prompts) {
      const expected = answer(exact.model, prompt);
      expect(expected.tokens.length).toBeLessThan(ANSWER_TOKENS_MAX);
      expect(answer(fast.model, prompt)).toEqual(expected);
    }
  });
});

/** The greedy answer up to the end of the turn. */
function answer(model: CausalModel, prompt: string): { text: string; tokens: number[] } {
  const pieces = template([{ role: 'user', content: prompt }]);
  const sequence = model.createSequence();
  const answered: number[] = [];
  let tokens = Int32Array.from(pieces.flatMap((piece) => [...tokenizer.encode(piece)]));
  while (answered.length < ANSWER_TOKENS_MAX) {
    model.step([{ sequence, tokens, logits: 'last' }]);
    const { token } = model.sample(0, GREEDY);
    if (model.info.eosTokenIds.includes(token)) break;
    answered.push(token);
    tokens = Int32Array.of(token);
  }
  sequence.free();
  return { text: tokenizer.decode(answered), tokens: answered };
}
