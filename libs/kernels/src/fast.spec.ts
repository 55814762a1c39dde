import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Context } from './context.js';
import type { QuantizationBits, QuantizationGroup } from './data.js';
import { openKernels } from './kernels.js';
import {
  flatten,
  maxDifference,
  randomMatrix,
  randomSource,
  type Matrix,
} from './reference/matrix.js';
import { runOp } from './reference/op-bench.js';
import { linear } from './reference/ops.js';

const kernels = openKernels();
const isas = kernels.info.isas;
const fast = isas.map((isa) => kernels.createContext({ mode: 'fast', threads: 2, isa }));
const exact = kernels.createContext({ mode: 'exact', threads: 2 });
afterAll(() => [...fast, exact].forEach((context) => context.free()));

interface Case {
  readonly seed: number;
  readonly tokens: number;
  readonly outDim: number;
  readonly groups: number;
  readonly bits: QuantizationBits;
  readonly groupSize: QuantizationGroup;
}

const cases: fc.Arbitrary<Case> = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
  tokens: fc.integer({ min: 1, max: 19 }),
  outDim: fc.integer({ min: 1, max: 100 }),
  groups: fc.integer({ min: 1, max: 18 }),
  bits: fc.constantFrom<QuantizationBits>(2, 3, 4, 5, 6, 8),
  groupSize: fc.constantFrom<QuantizationGroup>(32, 64, 128),
});

interface RunOptions {
  readonly chunks?: readonly number[];
  /** Changes the activations. */
  readonly damage?: (x: Matrix) => Matrix;
}

function run(context: Context, input: Case, { chunks, damage = (x) => x }: RunOptions = {}) {
  const { tokens, outDim, groups, bits, groupSize } = input;
  const cols = groups * groupSize;
  const random = randomSource(input.seed);
  const x = damage(randomMatrix(random, { rows: tokens, cols }, 3));
  const values = flatten(randomMatrix(random, { rows: outDim, cols }));
  const parts = kernels.quantize(values, { rows: outDim, cols, bits, groupSize });
  const shape = [outDim, groups];
  const weight = context.quantizedWeight({
    packed: context.createTensor({
      type: 'u32',
      shape: [outDim, (cols * bits) / 32],
      data: parts.packed,
    }),
    scales: context.createTensor({ type: 'f32', shape, data: parts.scales }),
    biases: context.createTensor({ type: 'f32', shape, data: parts.biases }),
    bits,
    groupSize,
  });
  const got = runOp(context, {
    inputs: [x],
    outDim,
    ...(chunks ? { chunks } : {}),
    record: (program, [src], dst) => src && program.linear(weight, { src, dst }),
  });
  const dense = weight.dequantize();
  const rows = Array.from({ length: outDim }, (_, r) => [
    ...dense.subarray(r * cols, (r + 1) * cols),
  ]);
  return { got, want: x.map((row) => linear(row, rows)) };
}

describe('quantised linear', () => {
  it('exact agrees with float64 over the same dequantised weights', () => {
    fc.assert(
      fc.property(cases, (input) => {
        const { got, want } = run(exact, input);
        expect(maxDifference(got, want)).toBeLessThan(2e-3);
      }),
      { numRuns: 20 },
    );
  });

  it('fast stays within one percent of the size of the result', () => {
    fc.assert(
      fc.property(cases, (input) => {
        const { got, want } = run(fast[0] ?? exact, input);
        const size = Math.sqrt(3 * input.groups * input.groupSize);
        expect(maxDifference(got, want)).toBeLessThan(0.06 * size);
      }),
      { numRuns: 20 },
    );
  });

  it('fast is bit-identical on every instruction set, alone and in any batch', () => {
    fc.assert(
      fc.property(cases, (input) => {
        const alone = new Array<number>(input.tokens).fill(1);
        const results = fast.flatMap((context) => [
          run(context, input).got,
          run(context, input, { chunks: alone }).got,
        ]);
        const [first] = results;
        for (const result of results) expect(result).toEqual(first);
      }),
      { numRuns: 25 },
    );
  });

  it('loses no NaN and no infinity among the integers, and keeps them to their row', () => {
    const spots = fc.record({
      row: fc.nat(),
      column: fc.nat(),
      value: fc.constantFrom(NaN, Infinity, -Infinity),
    });
    fc.assert(
      fc.property(cases, spots, (input, { row, column, value }) => {
        const hurt = row % input.tokens;
        const at = column % (input.groups * input.groupSize);
        const damage = (x: Matrix): Matrix =>
          x.map((values, r) => (r === hurt ? values.with(at, value) : values));
        for (const context of fast) {
          const want = run(context, input).got;
          want[hurt] = new Array<number>(input.outDim).fill(NaN);
          expect(run(context, input, { damage }).got).toEqual(want);
        }
      }),
      { numRuns: 20 },
    );
  });
});
