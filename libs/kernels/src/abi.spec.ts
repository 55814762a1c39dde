import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Context, KernelLimits } from './context.js';
import { openKernels } from './kernels.js';
import { findLibrary } from './library-path.js';
import { bindNative } from './native.js';
import { flatten, randomMatrix, randomSource } from './reference/matrix.js';

const kernels = openKernels();
const contexts: Context[] = [];
const open = (limits: KernelLimits = {}): Context => {
  const context = kernels.createContext({ mode: 'exact', threads: 1, limits });
  contexts.push(context);
  return context;
};
afterAll(() => contexts.forEach((context) => context.free()));

const HEAD_DIM = 8;

/** One attention layer over a vocabulary of 16. */
function attentionProgram(context: Context, maxPositions = 1000) {
  const random = randomSource(7);
  const weight = (rows: number) =>
    context.denseWeight(
      context.createTensor({
        type: 'f32',
        shape: [rows, HEAD_DIM],
        data: flatten(randomMatrix(random, { rows, cols: HEAD_DIM })),
      }),
    );
  const table = weight(16);
  const program = context.beginProgram({ maxStepTokens: 256, maxPositions });
  const [x, q, k, v, y] = [1, 2, 3, 4, 5].map(() => program.buffer(HEAD_DIM));
  if (!x || !q || !k || !v || !y) throw new Error('no registers');
  program.embed(table, x);
  for (const dst of [q, k, v]) program.linear(weight(HEAD_DIM), { src: x, dst });
  program.attention({
    ...{ q, k, v, dst: y, heads: 1, kvHeads: 1, headDim: HEAD_DIM, ropeDims: 4 },
    ...{ ropeTheta: 1e4, gated: false, normEps: 1e-6, scale: 1 },
  });
  program.logits(table, y);
  program.end();
  return program;
}

const tokens = (count: number) => Array.from({ length: count }, (_, index) => index % 16);

describe('limits and failed steps', () => {
  it('leaves sequences as they were when the cache limit is reached', () => {
    const context = open();
    const program = attentionProgram(context);
    const sequence = program.createSequence();
    program.step([{ sequence, tokens: tokens(64), logits: 'none' }]);
    context.setLimits({ cacheBytes: context.stats().cacheBytes });
    const other = () => program.step([{ sequence, tokens: tokens(1), logits: 'last' }]);
    expect(other).toThrow(/cache limit reached/);
    expect(sequence.length).toBe(64);
    context.setLimits({});
    other();
    expect(sequence.length).toBe(65);
  });

  it('refuses memory beyond the limit', () => {
    const context = open({ memoryBytes: 1000 });
    const data = new Float32Array(400);
    expect(() => context.createTensor({ type: 'f32', shape: [400], data })).toThrow(
      /memory limit reached/,
    );
  });

  it('lets spare pages make way for whatever else is asked for', () => {
    const context = open();
    const program = attentionProgram(context);
    const sequence = program.createSequence();
    program.step([{ sequence, tokens: tokens(64), logits: 'none' }]);
    sequence.free();
    const { memoryBytes, cacheSpareBytes } = context.stats();
    expect(cacheSpareBytes).toBeGreaterThan(0);
    context.setLimits({ memoryBytes });
    const shape = [cacheSpareBytes / 4];
    context.createTensor({ type: 'f32', shape, data: new Float32Array(cacheSpareBytes / 4) });
    expect(context.stats()).toMatchObject({ memoryBytes, cacheSpareBytes: 0 });
  });

  it('refuses a sequence longer than maxPositions', () => {
    const program = attentionProgram(open(), 10);
    const sequence = program.createSequence();
    const step = (count: number) => () =>
      program.step([{ sequence, tokens: tokens(count), logits: 'none' }]);
    expect(step(11)).toThrow(/max_positions 10/);
    step(10)();
    expect(step(1)).toThrow(/max_positions 10/);
  });

  it('refuses the same sequence twice, foreign tokens and an empty span', () => {
    const program = attentionProgram(open());
    const sequence = program.createSequence();
    const span = (list: number[]) => ({ sequence, tokens: list, logits: 'all' as const });
    expect(() => program.step([span([1]), span([2])])).toThrow(/already/);
    expect(() => program.step([span([16])])).toThrow(/outside the vocabulary/);
    expect(() => program.step([span([-1])])).toThrow(/outside the vocabulary/);
    expect(() => program.step([span([])])).toThrow(/null|tokens/);
    expect(() => program.step([])).toThrow();
    expect(sequence.length).toBe(0);
  });

  it('says which instruction sets there are when another is asked for', () => {
    expect(() => kernels.createContext({ mode: 'fast', isa: 'abacus' })).toThrow(
      /this machine has/,
    );
  });
});

describe('sequences', () => {
  it('share pages after a fork and part when either goes on', () => {
    const context = open();
    const program = attentionProgram(context);
    const sequence = program.createSequence();
    program.step([{ sequence, tokens: tokens(70), logits: 'none' }]);
    const pages = context.stats().pages;
    const fork = sequence.fork();
    expect(context.stats().pages).toBe(pages);
    const next = (target: typeof fork, token: number) => {
      program.step([{ sequence: target, tokens: [token], logits: 'last' }]);
      return program.readLogits(0);
    };
    next(fork, 3);
    expect(context.stats().pages).toBe(pages + 1);
    const fresh = program.createSequence();
    program.step([{ sequence: fresh, tokens: tokens(70), logits: 'none' }]);
    expect(next(sequence, 5)).toEqual(next(fresh, 5));
    expect(sequence.length).toBe(71);
  });

  it('are refused after free, also through a freed context', () => {
    const context = kernels.createContext({ mode: 'exact', threads: 1 });
    const program = attentionProgram(context);
    const sequence = program.createSequence();
    const kept = program.createSequence();
    sequence.free();
    sequence.free();
    expect(() => sequence.length).toThrow(/no living sequence/);
    context.free();
    expect(() => kept.length).toThrow(/no living sequence/);
    expect(() => program.rows).toThrow(/no living program/);
  });

  it('are bit-equal alone and in a mixed batch', () => {
    const context = open();
    const program = attentionProgram(context);
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 4 }),
        (sizes) => {
          const alone = sizes.map((size) => {
            const sequence = program.createSequence();
            program.step([{ sequence, tokens: tokens(size), logits: 'last' }]);
            sequence.free();
            return program.readLogits(0);
          });
          const spans = sizes.map((size) => ({
            sequence: program.createSequence(),
            tokens: tokens(size),
            logits: 'last' as const,
          }));
          program.step(spans);
          expect(sizes.map((_, row) => program.readLogits(row))).toEqual(alone);
          spans.forEach((span) => span.sequence.free());
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe('the raw ABI', () => {
  const native = bindNative(findLibrary());
  const numbers = fc.oneof(
    fc.constantFrom(0, 1, 2, 2 ** 24, 2 ** 31, 2 ** 32 - 1, 2 ** 48 + 2 ** 24, 2 ** 52),
    fc.integer({ min: 0, max: 2 ** 31 }),
  );
  const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

  it('answers made-up handles, sizes and null pointers with a status and a message', () => {
    fc.assert(
      fc.property(fc.tuple(numbers, numbers, numbers), u32, (handles, n) => {
        const [a, b, c] = handles;
        const statuses = [
          native.sk_library_info(null, n),
          native.sk_context_create(null, null),
          native.sk_context_free(2 ** 48 * 2 + a),
          native.sk_context_limits(b, null),
          native.sk_context_stats(a, null),
          native.sk_map_file(a, -1, b, new BigUint64Array(1)),
          native.sk_tensor_view(a, b, c, n % 9, n, null, null),
          native.sk_tensor_create(a, n % 9, n, null, null, b, new BigUint64Array(1)),
          native.sk_weight_dense(a, b, null),
          native.sk_weight_quantized(a, b, c, a, n, n, new BigUint64Array(1)),
          native.sk_program_begin(a, null, null),
          native.sk_program_buffer(b, n, null),
          native.sk_op_linear(a, b, c, n, n),
          native.sk_op_attention(a, null),
          native.sk_op_gated_delta(b, null),
          native.sk_program_end(c),
          native.sk_sequence_fork(a, null),
          native.sk_step(a, null, n, null, n),
          native.sk_logits(b, n, null, n),
          native.sk_sample(c, n, null, null, null, null, null, null),
          native.sk_quantize(null, a, b, n, n, null, null, null),
        ];
        for (const status of statuses) expect(status).toBeGreaterThan(0);
        expect(native.sk_last_error().length).toBeGreaterThan(0);
      }),
      { numRuns: 200 },
    );
  });
});
