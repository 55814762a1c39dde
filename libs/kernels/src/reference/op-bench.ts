import type { Context } from '../context.js';
import type { Program, Register } from '../program.js';
import type { Sequence } from '../sequence.js';
import { flatten, type Matrix } from './matrix.js';

export interface OpCase {
  /** One register per input; the rows are the tokens of one sequence. */
  readonly inputs: readonly Matrix[];
  readonly outDim: number;
  readonly record: (program: Program, inputs: Register[], out: Register) => void;
  /** How many rows each step takes; default: all in one. */
  readonly chunks?: readonly number[];
  readonly keyValues?: 'f32' | 'f16';
}

/**
 * Runs one operation of the library on given rows: inputs come in through embeddings of tables that
 * hold them, and the result goes out through logits with the identity matrix.
 */
export function runOp(context: Context, op: OpCase): number[][] {
  const total = op.inputs[0]?.length ?? 0;
  const program = context.beginProgram({
    maxStepTokens: Math.max(total, 1),
    maxPositions: Math.max(total, 1),
    keyValues: op.keyValues ?? 'f32',
  });
  const registers = op.inputs.map((rows) => embedRows(context, program, rows));
  const out = program.buffer(op.outDim);
  op.record(program, registers, out);
  program.logits(identity(context, op.outDim), out);
  program.end();
  const sequence = program.createSequence();
  const result = runChunks(program, sequence, op.chunks ?? [total]);
  sequence.free();
  program.free();
  return result;
}

function embedRows(context: Context, program: Program, rows: Matrix): Register {
  const cols = rows[0]?.length ?? 0;
  const tensor = context.createTensor({
    type: 'f32',
    shape: [rows.length, cols],
    data: flatten(rows),
  });
  const register = program.buffer(cols);
  program.embed(context.denseWeight(tensor), register);
  return register;
}

function identity(context: Context, dim: number) {
  const data = new Float32Array(dim * dim);
  for (let i = 0; i < dim; i += 1) data[i * dim + i] = 1;
  return context.denseWeight(context.createTensor({ type: 'f32', shape: [dim, dim], data }));
}

function runChunks(program: Program, sequence: Sequence, chunks: readonly number[]): number[][] {
  const result: number[][] = [];
  let next = 0;
  for (const chunk of chunks) {
    const tokens = Array.from({ length: chunk }, (_, index) => next + index);
    program.step([{ sequence, tokens, logits: 'all' }]);
    for (let row = 0; row < chunk; row += 1) result.push([...program.readLogits(row)]);
    next += chunk;
  }
  return result;
}

/** Splits `total` rows into random non-empty chunks. */
export function randomChunks(random: () => number, total: number): number[] {
  const chunks: number[] = [];
  for (let rest = total; rest > 0;) {
    const chunk = 1 + Math.floor(random() * rest);
    chunks.push(chunk);
    rest -= chunk;
  }
  return chunks;
}
