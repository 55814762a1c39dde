import { readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { CausalModel, ModelSequence, StepSpan } from '@sanctum/generation';
import fc from 'fast-check';
import { difference, LoadedModel } from './testing/loaded-model.js';
import { FIXTURES } from './testing/model-folder.js';

const MODES = ['exact', 'fast'] as const;
const cases = MODES.flatMap((mode) => readdirSync(FIXTURES).map((name) => [mode, name] as const));

describe.each(cases)('in %s mode, %s', (mode, name) => {
  it('prefills n tokens as it prefills n - 1 and decodes one', () => {
    using loaded = LoadedModel.fixture(name, { mode });
    const { model } = loaded;
    // One and two tokens; the convolution's reach; either side of a cache page.
    for (const length of [2, 3, 4, 5, 64, 65, 66, 129, 200]) {
      const tokens = drawTokens(length, model.info.vocabSize);
      const whole = lastLogits(model, [tokens]);
      const split = lastLogits(model, [tokens.subarray(0, -1), tokens.subarray(-1)]);
      expect(difference(whole, split)).toBeLessThanOrEqual(1e-3);
    }
  });

  it('gives a sequence the same bits alone and in a batch', () => {
    using loaded = LoadedModel.fixture(name, { mode });
    const { model } = loaded;
    const prompts = [1, 70, 2, 17, 1, 64, 5, 33].map((length, i) =>
      drawTokens(length, model.info.vocabSize, i),
    );
    const alone = prompts.map((tokens) => lastLogits(model, [tokens]));
    const sequences = prompts.map(() => model.createSequence());
    model.step(spansOf(sequences, prompts));
    alone.forEach((logits, row) => expect(model.readLogits(row)).toEqual(logits));
    for (const sequence of sequences) sequence.free();
  });
});

describe.each(MODES)('in %s mode', (mode) => {
  it('forks a sequence into two that go their own ways', () => {
    using loaded = LoadedModel.fixture('triple-value-heads-q4g32', { mode });
    const { model } = loaded;
    const { vocabSize } = model.info;
    for (const length of [1, 3, 63, 64, 65, 100]) {
      const past = drawTokens(length, vocabSize);
      const [left, right] = [drawTokens(70, vocabSize, 1), drawTokens(70, vocabSize, 2)];
      const first = model.createSequence();
      model.step([{ sequence: first, tokens: past, logits: 'none' }]);
      const second = first.fork();
      expect(second.length).toBe(length);
      model.step([{ sequence: first, tokens: left, logits: 'last' }]);
      const afterLeft = model.readLogits(0);
      first.free();
      model.step([{ sequence: second, tokens: right, logits: 'last' }]);
      const afterRight = model.readLogits(0);
      second.free();
      expect(afterLeft).toEqual(lastLogits(model, [past, left]));
      expect(afterRight).toEqual(lastLogits(model, [past, right]));
    }
  });

  it('never lets arrivals, ends or forks of others change a bit', () => {
    using loaded = LoadedModel.fixture('mixed-bits-overrides', { mode });
    const { model } = loaded;
    const client = fc.record({
      seed: fc.nat(1000),
      arrives: fc.nat(6),
      chunks: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }),
      forks: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(client, { minLength: 1, maxLength: 6 }), (clients) => {
        const plans = clients.map((one) => ({ ...one, chunks: chunksOf(one, model) }));
        const together = serve(model, plans);
        plans.forEach((plan, i) => {
          expect(together[i]).toEqual(lastLogits(model, plan.chunks));
        });
      }),
      { numRuns: 25 },
    );
  });
});

interface Plan {
  readonly arrives: number;
  readonly chunks: readonly Int32Array[];
  readonly forks: boolean;
}

/** Steps all plans side by side; each one's logits after its last chunk. */
function serve(model: CausalModel, plans: readonly Plan[]): Float32Array[] {
  const results: Float32Array[] = [];
  const live = new Map<number, ModelSequence>();
  const ends = Math.max(...plans.map((plan) => plan.arrives + plan.chunks.length));
  for (let round = 0; round < ends; round++) {
    const active: number[] = [];
    plans.forEach((plan, i) => {
      if (round === plan.arrives) live.set(i, model.createSequence());
      if (round >= plan.arrives && round < plan.arrives + plan.chunks.length) active.push(i);
    });
    if (active.length === 0) continue;
    const sequences = active.map((i) => found(live.get(i)));
    const chunks = active.map((i) => found(plans[i]?.chunks[round - found(plans[i]).arrives]));
    model.step(spansOf(sequences, chunks));
    active.forEach((i, row) => {
      results[i] = model.readLogits(row);
      const sequence = found(live.get(i));
      if (found(plans[i]).forks) live.set(i, sequence.fork());
      if (found(plans[i]).forks) sequence.free();
    });
    plans.forEach((plan, i) => {
      if (round + 1 === plan.arrives + plan.chunks.length) live.get(i)?.free();
    });
  }
  return results;
}

function chunksOf(
  plan: { readonly seed: number; readonly chunks: readonly number[] },
  model: CausalModel,
): Int32Array[] {
  return plan.chunks.map((length, i) => drawTokens(length, model.info.vocabSize, plan.seed + i));
}

function spansOf(sequences: readonly ModelSequence[], chunks: readonly Int32Array[]): StepSpan[] {
  return sequences.map((sequence, i) => ({ sequence, tokens: found(chunks[i]), logits: 'last' }));
}

/** Logits after the last of the chunks, taken in one after another by a sequence of its own. */
function lastLogits(model: CausalModel, chunks: readonly Int32Array[]): Float32Array {
  const sequence = model.createSequence();
  for (const tokens of chunks) model.step([{ sequence, tokens, logits: 'last' }]);
  sequence.free();
  return model.readLogits(0);
}

/** Reproducible tokens: a linear congruential sequence. */
function drawTokens(length: number, vocabSize: number, seed = 0): Int32Array {
  let state = seed * 7919 + 12345;
  return Int32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * vocabSize);
  });
}

function found<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('expected a value');
  return value;
}
