import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ComputeMode, Context } from './context.js';
import type { QuantizationBits } from './data.js';
import { openKernels } from './kernels.js';
import { flatten, randomMatrix, randomRow, randomSource, type Random } from './reference/matrix.js';
import { randomChunks, runOp, type OpCase } from './reference/op-bench.js';
import { runTinyModel } from './reference/tiny-model.js';

const kernels = openKernels();
const modes: readonly ComputeMode[] = ['exact', 'fast'];
const byMode = modes.map((mode) => ({
  mode,
  contexts: kernels.info.isas.map((isa) => kernels.createContext({ mode, threads: 2, isa })),
}));
const folder = mkdtempSync(join(tmpdir(), 'sanctum-bits-'));
afterAll(() => {
  byMode.forEach(({ contexts }) => contexts.forEach((context) => context.free()));
  rmSync(folder, { recursive: true });
});

const EPS = 1e-6;
const int = (random: Random, min: number, max: number) =>
  min + Math.floor(random() * (max - min + 1));

/** Records one operation; equal randoms give equal cases. */
type MakeCase = (context: Context, random: Random) => OpCase;

function values(context: Context, random: Random, ...shape: number[]) {
  const length = shape.reduce((product, size) => product * size, 1);
  const data = Float32Array.from(randomRow(random, length, 2));
  return context.createTensor({ type: 'f32', shape, data });
}

function inputs(random: Random, widths: readonly number[]) {
  const rows = int(random, 1, 33);
  return widths.map((cols) => randomMatrix(random, { rows, cols }, 3));
}

const makeCases: Readonly<Record<string, MakeCase>> = {
  'rms norm': (context, random) => {
    const dim = int(random, 1, 150);
    const weight = values(context, random, dim);
    return {
      ...{ inputs: inputs(random, [dim]), outDim: dim },
      record: (program, [src], dst) => src && program.rmsNorm(src, { weight, eps: EPS, dst }),
    };
  },
  'add rms norm': (context, random) => {
    const dim = int(random, 1, 150);
    const weight = values(context, random, dim);
    return {
      ...{ inputs: inputs(random, [dim, dim]), outDim: dim },
      record: (program, [residual, delta], dst) =>
        residual && delta && program.addRmsNorm({ residual, delta, weight, eps: EPS, dst }),
    };
  },
  'gated rms norm': (context, random) => {
    const size = int(random, 1, 50);
    const dim = size * int(random, 1, 4);
    const weight = values(context, random, size);
    return {
      ...{ inputs: inputs(random, [dim, dim]), outDim: dim },
      record: (program, [src, gate], dst) =>
        src && gate && program.rmsNormGated({ src, gate, weight, eps: EPS, dst }),
    };
  },
  'silu mul': (_context, random) => {
    const dim = int(random, 1, 150);
    return {
      ...{ inputs: inputs(random, [dim, dim]), outDim: dim },
      record: (program, [gate, up], dst) => gate && up && program.siluMul({ gate, up, dst }),
    };
  },
  linear: (context, random) => {
    const [outDim, cols] = [int(random, 1, 90), int(random, 1, 150)];
    const weight = context.denseWeight(values(context, random, outDim, cols));
    const bias = values(context, random, outDim);
    return {
      ...{ inputs: inputs(random, [cols]), outDim },
      record: (program, [src], dst) => src && program.linear(weight, { src, dst, bias }),
    };
  },
  convolution: (context, random) => {
    const [dim, taps] = [int(random, 1, 150), int(random, 1, 5)];
    const weight = values(context, random, dim, taps);
    return {
      ...{ inputs: inputs(random, [dim]), outDim: dim },
      record: (program, [src], dst) => src && program.conv1dSilu({ src, weight, taps, dst }),
    };
  },
  'gated delta': (context, random) => {
    const keyHeads = int(random, 1, 2);
    const valueHeads = keyHeads * int(random, 1, 3);
    const keyDim = random() < 0.4 ? 128 : int(random, 1, 70);
    const valueDim = int(random, 1, 40);
    const shape = { keyHeads, valueHeads, keyDim, valueDim, normEps: EPS };
    const aLog = values(context, random, valueHeads);
    const dtBias = values(context, random, valueHeads);
    const width = 2 * keyHeads * keyDim + valueHeads * valueDim;
    return {
      ...{ inputs: inputs(random, [width, valueHeads, valueHeads]) },
      outDim: valueHeads * valueDim,
      record: (program, [mixed, a, b], dst) =>
        mixed && a && b && program.gatedDelta({ ...shape, mixed, a, b, dst, aLog, dtBias }),
    };
  },
  attention: (context, random) => {
    const kvHeads = int(random, 1, 2);
    const heads = kvHeads * int(random, 1, 5);
    const headDim = int(random, 2, 70);
    const gated = random() < 0.5;
    const shape = {
      ...{ heads, kvHeads, headDim, ropeDims: 2 * int(random, 0, Math.floor(headDim / 2)) },
      ...{ ropeTheta: 1e4, gated, normEps: EPS, scale: headDim ** -0.5 },
    };
    const qNorm = values(context, random, headDim);
    const widths = [heads * headDim * (gated ? 2 : 1), kvHeads * headDim, kvHeads * headDim];
    return {
      ...{ inputs: inputs(random, widths), outDim: heads * headDim },
      keyValues: random() < 0.5 ? 'f16' : 'f32',
      record: (program, [q, k, v], dst) =>
        q && k && v && program.attention({ ...shape, q, k, v, dst, qNorm }),
    };
  },
};

describe.each(byMode)('$mode: every instruction set gives the same bits', ({ contexts }) => {
  it.each(Object.entries(makeCases))('%s, whole and in pieces', (_name, makeCase) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
        const results = contexts.flatMap((context) => {
          const whole = makeCase(context, randomSource(seed));
          const chunks = randomChunks(randomSource(seed), whole.inputs[0]?.length ?? 0);
          return [runOp(context, whole), runOp(context, { ...whole, chunks })];
        });
        for (const result of results) expect(result).toEqual(results[0]);
      }),
      { numRuns: 12 },
    );
  });

  it('a whole little model: prefill, decode, a fork and a mixed batch', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
        const results = contexts.map((context) =>
          runTinyModel({ context, kernels, random: randomSource(seed) }),
        );
        for (const result of results) expect(result).toEqual(results[0]);
      }),
      { numRuns: 8 },
    );
  });

  it('weights at any offset of a file', () => {
    const widths = fc.constantFrom<QuantizationBits>(2, 3, 4, 5, 6, 8);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), widths, (seed, bits) => {
        const results = contexts.flatMap((context) =>
          [0, 1, 7, 62].map((offset) => linearFromFile(context, { seed, bits, offset })),
        );
        for (const result of results) expect(result).toEqual(results[0]);
      }),
      { numRuns: 8 },
    );
  });
});

/** A quantised linear whose three tensors follow each other in a file from `offset` on. */
function linearFromFile(
  context: Context,
  input: { seed: number; bits: QuantizationBits; offset: number },
) {
  const random = randomSource(input.seed);
  const [rows, cols, groupSize] = [int(random, 1, 70), 64 * int(random, 1, 6), 64] as const;
  const layout = { rows, cols, bits: input.bits, groupSize };
  const parts = kernels.quantize(flatten(randomMatrix(random, { rows, cols })), layout);
  const bytes = [parts.packed, parts.scales, parts.biases].map(
    (part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength),
  );
  const path = join(folder, `weights-${input.offset}`);
  writeFileSync(path, Buffer.concat([Buffer.alloc(input.offset), ...bytes]));
  const fd = openSync(path, 'r');
  const length = bytes.reduce((sum, part) => sum + part.length, input.offset);
  const map = context.mapFile({ fd, length });
  closeSync(fd);
  const scalesAt = input.offset + parts.packed.byteLength;
  const shape = [rows, cols / groupSize];
  const weight = context.quantizedWeight({
    packed: context.tensorView({
      ...{ map, offset: input.offset, type: 'u32', shape: [rows, (cols * input.bits) / 32] },
    }),
    scales: context.tensorView({ map, offset: scalesAt, type: 'f32', shape }),
    biases: context.tensorView({
      ...{ map, offset: scalesAt + parts.scales.byteLength, type: 'f32', shape },
    }),
    ...{ bits: input.bits, groupSize },
  });
  const result = runOp(context, {
    ...{ inputs: inputs(random, [cols]), outDim: rows },
    record: (program, [src], dst) => src && program.linear(weight, { src, dst }),
  });
  weight.free();
  map.free();
  rmSync(path); // the mapping outlives the name
  return result;
}
