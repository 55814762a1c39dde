import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { CausalModel } from '@sanctum/generation';
import { openKernels } from '@sanctum/kernels';
import { readExpected, type ExpectedPrompt } from './testing/expected.js';
import { LoadedModel } from './testing/loaded-model.js';
import { FIXTURES } from './testing/model-folder.js';

/** Mean over tokens, in nats. */
const DIVERGENCE_MAX = 1e-3;
const { isas } = openKernels().info;

describe.each(readdirSync(FIXTURES))('fast mode, %s', (name) => {
  it('stays close to exact mode', () => {
    using exact = LoadedModel.fixture(name, { mode: 'exact' });
    using fast = LoadedModel.fixture(name, { mode: 'fast' });
    const prompts = readExpected(name, exact.model.info.vocabSize);
    const expected = prompts.flatMap((prompt) => allLogits(exact.model, prompt));
    const found = prompts.flatMap((prompt) => allLogits(fast.model, prompt));
    const divergences = expected.map((row, i) => divergence(row, found[i] ?? new Float32Array()));
    const mean = divergences.reduce((sum, value) => sum + value, 0) / divergences.length;
    expect(mean).toBeLessThanOrEqual(DIVERGENCE_MAX);
    // Zero would mean that the mode changed nothing at all: that no quantised matrix took part.
    if (/q[48]g|mixed/.test(name)) expect(mean).toBeGreaterThan(0);
  });

  it(`gives the same bits on ${isas.join(', ')} with one thread and two`, () => {
    const runs = isas.flatMap((isa) => [1, 2].map((threads) => ({ isa, threads })));
    const [first, ...others] = runs.map(({ isa, threads }) => {
      using loaded = LoadedModel.fixture(name, { mode: 'fast', isa, threads });
      expect(loaded.context.isa).toBe(isa);
      const prompts = readExpected(name, loaded.model.info.vocabSize);
      const rows = prompts.flatMap((prompt) => allLogits(loaded.model, prompt));
      return Object.fromEntries(rows.map((row, i) => [`row ${i}`, digest(row)]));
    });
    for (const other of others) expect(other).toEqual(first);
  });
});

/** Logits of every token of a prompt and its recorded answer. */
function allLogits(model: CausalModel, prompt: ExpectedPrompt): Float32Array[] {
  const tokens = Int32Array.of(...prompt.tokens, ...prompt.greedy);
  const sequence = model.createSequence();
  model.step([{ sequence, tokens, logits: 'all' }]);
  sequence.free();
  return Array.from(tokens, (_, row) => model.readLogits(row));
}

function digest(row: Float32Array): string {
  return createHash('sha256').update(new Uint8Array(row.buffer)).digest('hex');
}

/** Kullback-Leibler divergence of the second distribution from the first, in nats. */
function divergence(expected: Float32Array, found: Float32Array): number {
  const [p, q] = [logSoftmax(expected), logSoftmax(found)];
  return p.reduce((sum, value, i) => sum + Math.exp(value) * (value - (q[i] ?? NaN)), 0);
}

function logSoftmax(logits: Float32Array): number[] {
  const max = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, value) => total + Math.exp(value - max), 0);
  return Array.from(logits, (value) => value - max - Math.log(sum));
}
