import type { Context } from '../context.js';
import type { QuantizationBits } from '../data.js';
import type { Kernels } from '../kernels.js';
import type { Program, Register } from '../program.js';
import type { Sequence } from '../sequence.js';
import { flatten, randomMatrix, randomRow, type Random } from './matrix.js';

const HIDDEN = 64;
const INNER = 96;
const VOCABULARY = 50;
const EPS = 1e-6;
const KEY_HEADS = 1;
const VALUE_HEADS = 2;
const KEY_DIM = 128;
const VALUE_DIM = 32;
const HEADS = 4;
const HEAD_DIM = 32;
const WIDTHS: readonly QuantizationBits[] = [2, 3, 4, 5, 6, 8];

interface Maker {
  readonly context: Context;
  readonly kernels: Kernels;
  /** Fixes all weights and tokens. */
  readonly random: Random;
}

/**
 * Records a little model of the library's architecture (delta, attention, delta; quantised at mixed
 * widths) and returns the logits of a prefill, of decoding, and of a mixed batch with a fork.
 */
export function runTinyModel(maker: Maker): number[][] {
  const program = recordModel(maker);
  const { random } = maker;
  const draw = (length: number) => Array.from({ length }, () => Math.floor(random() * VOCABULARY));
  const result: number[][] = [];
  const step = (spans: readonly { sequence: Sequence; count: number }[]) => {
    program.step(
      spans.map(({ sequence, count }) => ({ sequence, tokens: draw(count), logits: 'all' })),
    );
    for (let row = 0; row < program.rows; row += 1) result.push([...program.readLogits(row)]);
  };
  const first = program.createSequence();
  step([{ sequence: first, count: 30 + Math.floor(random() * 50) }]);
  step([{ sequence: first, count: 1 }]);
  const fork = first.fork();
  const fresh = program.createSequence();
  step([
    { sequence: fresh, count: 1 + Math.floor(random() * 20) },
    { sequence: fork, count: 2 },
    { sequence: first, count: 1 },
  ]);
  step([fork, first, fresh].map((sequence) => ({ sequence, count: 1 })));
  program.free();
  return result;
}

function recordModel(maker: Maker): Program {
  const program = maker.context.beginProgram({ maxStepTokens: 128, maxPositions: 128 });
  const [x, normed] = [program.buffer(HIDDEN), program.buffer(HIDDEN)];
  const table = quantized(maker, VOCABULARY, HIDDEN);
  program.embed(table, x);
  program.rmsNorm(x, { weight: vector(maker, HIDDEN), eps: EPS, dst: normed });
  const project = (src: Register, outDim: number): Register => {
    const dst = program.buffer(outDim);
    program.linear(quantized(maker, outDim, src.dim), { src, dst });
    return dst;
  };
  const addNorm = (delta: Register) => {
    const weight = vector(maker, HIDDEN);
    program.addRmsNorm({ residual: x, delta, weight, eps: EPS, dst: normed });
  };
  const layer = { maker, program, normed, project };
  for (const mix of [deltaLayer, attentionLayer, deltaLayer]) {
    addNorm(project(mix(layer), HIDDEN));
    const active = program.buffer(INNER);
    program.siluMul({ gate: project(normed, INNER), up: project(normed, INNER), dst: active });
    addNorm(project(active, HIDDEN));
  }
  program.logits(table, normed);
  program.end();
  return program;
}

interface Layer {
  readonly maker: Maker;
  readonly program: Program;
  readonly normed: Register;
  readonly project: (src: Register, outDim: number) => Register;
}

function deltaLayer({ maker, program, normed, project }: Layer): Register {
  const width = 2 * KEY_HEADS * KEY_DIM + VALUE_HEADS * VALUE_DIM;
  const [mixed, dst] = [program.buffer(width), program.buffer(VALUE_HEADS * VALUE_DIM)];
  const gated = program.buffer(VALUE_HEADS * VALUE_DIM);
  const weight = vector(maker, width * 4, [width, 4]);
  program.conv1dSilu({ src: project(normed, width), weight, taps: 4, dst: mixed });
  program.gatedDelta({
    ...{ mixed, a: project(normed, VALUE_HEADS), b: project(normed, VALUE_HEADS), dst },
    aLog: vector(maker, VALUE_HEADS),
    dtBias: vector(maker, VALUE_HEADS),
    ...{ keyHeads: KEY_HEADS, valueHeads: VALUE_HEADS, keyDim: KEY_DIM, valueDim: VALUE_DIM },
    normEps: EPS,
  });
  program.rmsNormGated({
    ...{ src: dst, gate: project(normed, VALUE_HEADS * VALUE_DIM), dst: gated },
    ...{ weight: vector(maker, VALUE_DIM), eps: EPS },
  });
  return gated;
}

function attentionLayer({ maker, program, normed, project }: Layer): Register {
  const dst = program.buffer(HEADS * HEAD_DIM);
  program.attention({
    q: project(normed, 2 * HEADS * HEAD_DIM),
    k: project(normed, HEAD_DIM),
    v: project(normed, HEAD_DIM),
    ...{ dst, heads: HEADS, kvHeads: 1, headDim: HEAD_DIM, ropeDims: 16, ropeTheta: 1e4 },
    ...{ gated: true, normEps: EPS, scale: HEAD_DIM ** -0.5 },
    qNorm: vector(maker, HEAD_DIM),
    kNorm: vector(maker, HEAD_DIM),
  });
  return dst;
}

function vector({ context, random }: Maker, length: number, shape = [length]) {
  const data = Float32Array.from(randomRow(random, length));
  return context.createTensor({ type: 'f32', shape, data });
}

function quantized({ context, kernels, random }: Maker, rows: number, cols: number) {
  const bits = WIDTHS[Math.floor(random() * WIDTHS.length)] ?? 4;
  const layout = { rows, cols, bits, groupSize: 32 } as const;
  const parts = kernels.quantize(flatten(randomMatrix(random, { rows, cols })), layout);
  const shape = [rows, cols / 32];
  return context.quantizedWeight({
    packed: context.createTensor({
      ...{ type: 'u32', shape: [rows, (cols * bits) / 32], data: parts.packed },
    }),
    scales: context.createTensor({ type: 'f32', shape, data: parts.scales }),
    biases: context.createTensor({ type: 'f32', shape, data: parts.biases }),
    ...{ bits, groupSize: 32 },
  });
}
