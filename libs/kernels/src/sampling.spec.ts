import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { openKernels } from './kernels.js';
import { randomRow, randomSource } from './reference/matrix.js';
import { distribution, uniform } from './reference/sampling.js';
import type { SamplingParams } from './sampling.js';

const VOCABULARY = 300;
/** Draws so close between two tokens that another exp than the library's own decides otherwise. */
const CLOSE_DRAWS = [1_757_711, 3_175_219, 4_719_353, 7_553_545, 14_008_861, 21_225_604];
const kernels = openKernels();
const context = kernels.createContext({ mode: 'exact', threads: 1 });
afterAll(() => context.free());

/** A program whose logits for token 0 are the given ones. */
function withLogits(logits: readonly number[]) {
  const table = context.createTensor({
    type: 'f32',
    shape: [1, logits.length],
    data: Float32Array.from(logits),
  });
  const eye = new Float32Array(logits.length ** 2);
  logits.forEach((_, i) => (eye[i * logits.length + i] = 1));
  const identity = context.createTensor({
    type: 'f32',
    shape: [logits.length, logits.length],
    data: eye,
  });
  const program = context.beginProgram({ maxStepTokens: 1, maxPositions: 1 });
  const x = program.buffer(logits.length);
  program.embed(context.denseWeight(table), x);
  program.logits(context.denseWeight(identity), x);
  program.end();
  program.step([{ sequence: program.createSequence(), tokens: [0], logits: 'all' }]);
  return program;
}

const settings = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
  temperature: fc.constantFrom(0.3, 0.7, 1, 1.8),
  topP: fc.constantFrom(1, 0.95, 0.6, 0.1),
  topK: fc.constantFrom(0, 1, 5, 40, 1000),
  minP: fc.constantFrom(0, 0.05, 0.3),
  repetitionPenalty: fc.constantFrom(1, 1.3),
  presencePenalty: fc.constantFrom(0, 0.5),
  frequencyPenalty: fc.constantFrom(0, 0.25),
});

describe('sampling', () => {
  it('draws what the float64 reference draws', () => {
    fc.assert(
      fc.property(settings, (setting) => {
        const random = randomSource(setting.seed);
        const logits = randomRow(random, VOCABULARY, 6);
        const history = Int32Array.from({ length: 20 }, () => Math.floor(random() * VOCABULARY));
        const params: SamplingParams = { ...setting, history, promptCount: 8 };
        const program = withLogits(logits);
        const candidates = distribution(logits, params);
        for (let counter = 0; counter < 20; counter += 1) {
          const { token } = program.sample(0, { ...params, counter });
          const u = uniform(BigInt(setting.seed), BigInt(counter));
          const chosen = candidates.find((entry) => entry.token === token);
          expect(chosen).toBeDefined();
          expect(u).toBeGreaterThan((chosen?.from ?? NaN) - 1e-5);
          expect(u).toBeLessThan((chosen?.to ?? NaN) + 1e-5);
        }
        program.free();
      }),
      { numRuns: 60 },
    );
  });

  it('draws the same to the last bit whether or not it ranks the tokens first', () => {
    const logits = randomRow(randomSource(11), VOCABULARY, 2).sort((a, b) => b - a);
    const program = withLogits(logits);
    const draw = (counter: number, minP: number): number =>
      program.sample(0, { seed: 1, temperature: 0.7, counter, minP }).token;
    for (const counter of CLOSE_DRAWS) expect(draw(counter, 1e-30)).toBe(draw(counter, 0));
  });

  it('takes the lowest of equal tokens at temperature 0', () => {
    expect(withLogits([1, 5, 2, 5, 5]).sample(0).token).toBe(1);
  });

  it('reports log probabilities of the model itself', () => {
    const logits = randomRow(randomSource(3), 50, 4);
    const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    const order = logits
      .map((logit, token) => ({ logit, token }))
      .sort((a, b) => b.logit - a.logit);
    const got = withLogits(logits).sample(0, { topLogprobs: 20, temperature: 0.1, topK: 1 });
    expect(got.token).toBe(order[0]?.token);
    expect(got.top?.map((entry) => entry.token)).toEqual(
      order.slice(0, 20).map((entry) => entry.token),
    );
    got.top?.forEach((entry, rank) =>
      expect(entry.logprob).toBeCloseTo((order[rank]?.logit ?? NaN) - total, 4),
    );
  });

  it('obeys logit bias and token mask', () => {
    const program = withLogits([9, 8, 7, 6]);
    const logitBias = { tokens: Int32Array.of(3), values: Float32Array.of(100) };
    expect(program.sample(0, { logitBias }).token).toBe(3);
    expect(program.sample(0, { tokenMask: Uint32Array.of(0b0110) }).token).toBe(1);
    expect(() => program.sample(0, { tokenMask: Uint32Array.of(0) })).toThrow(/no token is left/);
  });

  it.each<[string, SamplingParams, RegExp]>([
    ['NaN temperature', { temperature: NaN }, /temperature/],
    ['temperature above 100', { temperature: 101 }, /temperature/],
    ['top_p of 0', { topP: 0 }, /top_p/],
    ['min_p above 1', { minP: 1.1 }, /min_p/],
    ['21 top logprobs', { topLogprobs: 21 }, /top_logprobs/],
    ['a token outside the vocabulary', { history: Int32Array.of(4) }, /history holds token 4/],
    ['more prompt than history', { promptCount: 1 }, /prompt_count/],
    ['a mask of the wrong size', { tokenMask: Uint32Array.of(1, 1) }, /mask_words/],
  ])('refuses %s', (_, params, message) => {
    expect(() => withLogits([1, 2, 3, 4]).sample(0, params)).toThrow(message);
  });

  it('refuses NaN logits', () => {
    expect(() => withLogits([1, NaN, 2]).sample(0)).toThrow(/NaN/);
  });
});
