import { closeSync, fstatSync, openSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CausalModel, NativeSampling } from '@sanctum/generation';
import { sampleReference } from '@sanctum/generation/testing';
import { openKernels, type Context } from '@sanctum/kernels';
import { loadModel } from '@sanctum/models';
import fc from 'fast-check';

const FOLDER = fileURLToPath(new URL('../../../../deploy/models/padawan', import.meta.url));
/** Closer decisions than this may fall either way in f32. */
const MARGIN = 1e-4;

let context: Context;
let model: CausalModel;
beforeAll(() => {
  context = openKernels().createContext({ mode: 'exact', threads: 1 });
  const files = readdirSync(FOLDER).map((name) => {
    const fd = openSync(`${FOLDER}/${name}`, 'r');
    return { name, fd, size: fstatSync(fd).size };
  });
  model = loadModel({ files, context });
  for (const { fd } of files) closeSync(fd);
});
afterAll(() => {
  model.free();
  context.free();
});

const token = fc.nat(1000);
const params: fc.Arbitrary<NativeSampling> = fc
  .record({
    temperature: fc.constantFrom(0, 0.3, 1, 2),
    topK: fc.constantFrom(0, 1, 5, 300, 5000),
    topP: fc.constantFrom(1, 0.95, 0.5, 1e-6),
    minP: fc.constantFrom(0, 0.05, 0.5, 1),
    repetitionPenalty: fc.constantFrom(1, 1.3, 0.7),
    presencePenalty: fc.constantFrom(0, 1.5, -2),
    frequencyPenalty: fc.constantFrom(0, 0.7, -0.5),
    history: fc.array(token, { maxLength: 40 }).map((tokens) => Int32Array.from(tokens)),
    promptCount: fc.nat(40),
    logitBias: fc.array(fc.tuple(token, fc.double({ min: -100, max: 100, noNaN: true })), {
      maxLength: 5,
    }),
    seed: fc.bigInt(0n, 2n ** 64n - 1n),
    counter: fc.nat(100_000),
    topLogprobs: fc.constantFrom(0, 1, 20),
  })
  .map((given) => ({
    ...given,
    promptCount: Math.min(given.promptCount, given.history.length),
    logitBias: new Map(given.logitBias),
  }));

describe('sampling in the native library', () => {
  it('draws what the reference draws, with the same log-probabilities', () => {
    let compared = 0;
    fc.assert(
      fc.property(fc.array(token, { minLength: 1, maxLength: 12 }), params, (prompt, sampling) => {
        const sequence = model.createSequence();
        model.step([{ sequence, tokens: Int32Array.from(prompt), logits: 'last' }]);
        const native = model.sample(0, sampling);
        const { margin, ...reference } = sampleReference(model.readLogits(0), sampling);
        sequence.free();
        if (margin < MARGIN) return;
        compared += 1;
        expect(native.token).toBe(reference.token);
        expect(native.logprob).toBeCloseTo(reference.logprob, 3);
        expect(native.top?.map((entry) => entry.token)).toEqual(
          reference.top?.map((entry) => entry.token),
        );
        for (const [rank, { logprob }] of (native.top ?? []).entries()) {
          expect(logprob).toBeCloseTo(reference.top?.[rank]?.logprob ?? Number.NaN, 3);
        }
      }),
      { numRuns: 500 },
    );
    expect(compared).toBeGreaterThan(250);
  });
});
