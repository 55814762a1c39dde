import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { openKernels } from './kernels.js';
import { maxDifference, randomMatrix, randomRow, randomSource } from './reference/matrix.js';
import { randomChunks, runOp } from './reference/op-bench.js';
import {
  attention,
  conv1dSilu,
  gatedDelta,
  linear,
  rmsNorm,
  rmsNormGated,
  silu,
} from './reference/ops.js';

const kernels = openKernels();
const contexts = kernels.info.isas.map((isa) =>
  kernels.createContext({ mode: 'exact', threads: 2, isa }),
);
afterAll(() => contexts.forEach((context) => context.free()));

const RUNS = { numRuns: 25 };
const TOLERANCE = 2e-5;
const seeds = fc.integer({ min: 0, max: 2 ** 31 });
const counts = fc.integer({ min: 1, max: 9 });
const dims = fc.integer({ min: 1, max: 150 });
const EPS = 1e-6;

describe.each(contexts.map((context) => ({ name: context.isa, context })))(
  '$name against float64',
  ({ context }) => {
    const tensor = (values: readonly number[], shape = [values.length]) =>
      context.createTensor({ type: 'f32', shape, data: Float32Array.from(values) });

    it('rms norm', () => {
      fc.assert(
        fc.property(seeds, counts, dims, (seed, rows, cols) => {
          const random = randomSource(seed);
          const x = randomMatrix(random, { rows, cols }, 3);
          const weight = randomRow(random, cols);
          const got = runOp(context, {
            inputs: [x],
            outDim: cols,
            record: (program, [src], dst) =>
              src && program.rmsNorm(src, { weight: tensor(weight), eps: EPS, dst }),
          });
          const want = x.map((row) => rmsNorm(row, weight, EPS));
          expect(maxDifference(got, want)).toBeLessThan(TOLERANCE);
        }),
        RUNS,
      );
    });

    it('add rms norm, and the residual it leaves', () => {
      fc.assert(
        fc.property(
          seeds,
          fc.tuple(counts, dims),
          fc.boolean(),
          (seed, [rows, cols], readResidual) => {
            const random = randomSource(seed);
            const x = randomMatrix(random, { rows, cols }, 3);
            const y = randomMatrix(random, { rows, cols }, 3);
            const weight = randomRow(random, cols);
            const got = runOp(context, {
              inputs: [x, y],
              outDim: cols,
              record: (program, [residual, delta], dst) => {
                if (!residual || !delta) return;
                const op = { weight: tensor(weight), eps: EPS };
                const unread = readResidual ? program.buffer(cols) : dst;
                program.addRmsNorm({ ...op, residual, delta, dst: unread });
                if (readResidual) program.rmsNorm(residual, { ...op, dst });
              },
            });
            const sums = x.map((row, r) => row.map((value, c) => value + (y[r]?.[c] ?? NaN)));
            const want = sums.map((row) => rmsNorm(row, weight, EPS));
            expect(maxDifference(got, want)).toBeLessThan(TOLERANCE);
          },
        ),
        RUNS,
      );
    });

    it('silu mul, in place too', () => {
      fc.assert(
        fc.property(seeds, fc.tuple(counts, dims), fc.boolean(), (seed, [rows, cols], inPlace) => {
          const random = randomSource(seed);
          const gate = randomMatrix(random, { rows, cols }, 20);
          const up = randomMatrix(random, { rows, cols });
          const got = runOp(context, {
            inputs: [gate, up],
            outDim: cols,
            record: (program, [g, u], dst) => {
              if (!g || !u) return;
              program.siluMul({ gate: g, up: u, dst: inPlace ? g : dst });
              if (inPlace) {
                const ones = tensor(new Array<number>(cols).fill(1));
                const zero = program.buffer(cols);
                program.rmsNorm(g, { weight: ones, eps: 1, dst: zero });
                program.siluMul({ gate: u, up: g, dst });
              }
            },
          });
          const want = gate.map((row, r) =>
            row.map((g, c) => {
              const u = up[r]?.[c] ?? NaN;
              return inPlace ? silu(u) * silu(g) * u : silu(g) * u;
            }),
          );
          expect(maxDifference(got, want)).toBeLessThan(TOLERANCE);
        }),
        RUNS,
      );
    });

    it('linear with a bias', () => {
      fc.assert(
        fc.property(seeds, counts, fc.tuple(dims, dims), (seed, rows, [inDim, outDim]) => {
          const random = randomSource(seed);
          const x = randomMatrix(random, { rows, cols: inDim });
          const weight = randomMatrix(random, { rows: outDim, cols: inDim });
          const bias = randomRow(random, outDim);
          const dense = context.denseWeight(tensor(weight.flat(), [outDim, inDim]));
          const got = runOp(context, {
            inputs: [x],
            outDim,
            record: (program, [src], dst) =>
              src && program.linear(dense, { src, dst, bias: tensor(bias) }),
          });
          const want = x.map((row) => linear(row, weight).map((v, o) => v + (bias[o] ?? NaN)));
          expect(maxDifference(got, want)).toBeLessThan(TOLERANCE);
        }),
        RUNS,
      );
    });

    it('gated rms norm per head', () => {
      fc.assert(
        fc.property(
          seeds,
          counts,
          fc.tuple(fc.integer({ min: 1, max: 4 }), dims),
          (seed, rows, [n, size]) => {
            const random = randomSource(seed);
            const cols = n * size;
            const x = randomMatrix(random, { rows, cols }, 2);
            const gate = randomMatrix(random, { rows, cols }, 5);
            const weight = randomRow(random, size);
            const got = runOp(context, {
              inputs: [x, gate],
              outDim: cols,
              record: (program, [src, g], dst) =>
                src &&
                g &&
                program.rmsNormGated({ src, gate: g, weight: tensor(weight), eps: EPS, dst }),
            });
            const want = x.map((row, r) => rmsNormGated(row, gate[r] ?? [], { weight, eps: EPS }));
            expect(maxDifference(got, want)).toBeLessThan(TOLERANCE * 5);
          },
        ),
        RUNS,
      );
    });

    it('convolution over chunks of a sequence', () => {
      fc.assert(
        fc.property(
          seeds,
          counts,
          fc.tuple(dims, fc.integer({ min: 1, max: 5 })),
          (seed, rows, [cols, taps]) => {
            const random = randomSource(seed);
            const x = randomMatrix(random, { rows, cols });
            const weight = randomMatrix(random, { rows: cols, cols: taps });
            const got = runOp(context, {
              inputs: [x],
              outDim: cols,
              chunks: randomChunks(random, rows),
              record: (program, [src], dst) =>
                src &&
                program.conv1dSilu({
                  src,
                  weight: tensor(weight.flat(), [cols, 1, taps]),
                  taps,
                  dst,
                }),
            });
            expect(maxDifference(got, conv1dSilu(x, weight))).toBeLessThan(TOLERANCE);
          },
        ),
        RUNS,
      );
    });

    const deltaShapes = fc.record({
      keyHeads: fc.integer({ min: 1, max: 3 }),
      perKey: fc.integer({ min: 1, max: 3 }),
      keyDim: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constant(128)),
      valueDim: fc.integer({ min: 1, max: 40 }),
    });

    it('gated delta over chunks of a sequence', () => {
      fc.assert(
        fc.property(seeds, counts, deltaShapes, (seed, rows, sizes) => {
          const random = randomSource(seed);
          const valueHeads = sizes.keyHeads * sizes.perKey;
          const shape = { ...sizes, valueHeads, normEps: EPS };
          const width = 2 * sizes.keyHeads * sizes.keyDim + valueHeads * sizes.valueDim;
          const mixed = randomMatrix(random, { rows, cols: width });
          const a = randomMatrix(random, { rows, cols: valueHeads }, 4);
          const b = randomMatrix(random, { rows, cols: valueHeads }, 4);
          const aLog = randomRow(random, valueHeads, 2);
          const dtBias = randomRow(random, valueHeads);
          const got = runOp(context, {
            inputs: [mixed, a, b],
            outDim: valueHeads * sizes.valueDim,
            chunks: randomChunks(random, rows),
            record: (program, [m, ra, rb], dst) =>
              m &&
              ra &&
              rb &&
              program.gatedDelta({
                ...shape,
                mixed: m,
                a: ra,
                b: rb,
                dst,
                aLog: tensor(aLog),
                dtBias: tensor(dtBias),
              }),
          });
          const want = gatedDelta({ mixed, a, b }, shape, { aLog, dtBias });
          expect(maxDifference(got, want)).toBeLessThan(TOLERANCE);
        }),
        RUNS,
      );
    });

    const attentionShapes = fc.record({
      kvHeads: fc.integer({ min: 1, max: 3 }),
      group: fc.integer({ min: 1, max: 6 }),
      headDim: fc.oneof(fc.integer({ min: 2, max: 70 }), fc.constant(128)),
      ropeHalves: fc.integer({ min: 0, max: 35 }),
      gated: fc.boolean(),
    });

    it.each(['f32', 'f16'] as const)('attention over pages of %s', (keyValues) => {
      fc.assert(
        fc.property(
          seeds,
          fc.integer({ min: 1, max: 140 }),
          attentionShapes,
          (seed, rows, { kvHeads, group, headDim, ropeHalves, gated }) => {
            const random = randomSource(seed);
            const heads = kvHeads * group;
            const ropeDims = 2 * Math.min(ropeHalves, Math.floor(headDim / 2));
            const shape = {
              ...{ heads, kvHeads, headDim, ropeDims, gated },
              ...{ ropeTheta: 10_000, normEps: EPS, scale: headDim ** -0.5 },
            };
            const qCols = heads * headDim * (gated ? 2 : 1);
            const q = randomMatrix(random, { rows, cols: qCols }, 2);
            const k = randomMatrix(random, { rows, cols: kvHeads * headDim }, 2);
            const v = randomMatrix(random, { rows, cols: kvHeads * headDim });
            const norms = { q: randomRow(random, headDim, 2), k: randomRow(random, headDim, 2) };
            const got = runOp(context, {
              inputs: [q, k, v],
              outDim: heads * headDim,
              keyValues,
              chunks: randomChunks(random, rows),
              record: (program, [rq, rk, rv], dst) =>
                rq &&
                rk &&
                rv &&
                program.attention({
                  ...shape,
                  ...{ q: rq, k: rk, v: rv, dst },
                  qNorm: tensor(norms.q),
                  kNorm: tensor(norms.k),
                }),
            });
            const want = attention({ q, k, v }, shape, norms);
            const tolerance = keyValues === 'f16' ? 4e-3 : TOLERANCE;
            expect(maxDifference(got, want)).toBeLessThan(tolerance);
          },
        ),
        { numRuns: 12 },
      );
    });
  },
);
