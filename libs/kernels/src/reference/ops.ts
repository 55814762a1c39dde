import { dot, type Matrix } from './matrix.js';

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const silu = (x: number): number => x * sigmoid(x);
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const at = (row: readonly number[] | undefined, index: number): number => row?.[index] ?? NaN;

export function rmsNorm(row: readonly number[], weight: readonly number[], eps: number): number[] {
  const scale = 1 / Math.sqrt(dot(row, row) / row.length + eps);
  return row.map((x, i) => x * scale * at(weight, i));
}

export function rmsNormGated(
  row: readonly number[],
  gate: readonly number[],
  op: { weight: readonly number[]; eps: number },
): number[] {
  const size = op.weight.length;
  const out: number[] = [];
  for (let first = 0; first < row.length; first += size) {
    const normed = rmsNorm(row.slice(first, first + size), op.weight, op.eps);
    out.push(...normed.map((x, i) => x * silu(at(gate, first + i))));
  }
  return out;
}

export function linear(row: readonly number[], weight: Matrix): number[] {
  return weight.map((w) => dot(w, row));
}

/** Whole sequence from an empty state; weight [dim][taps]. */
export function conv1dSilu(rows: Matrix, weight: Matrix): number[][] {
  return rows.map((row, t) =>
    row.map((_, c) => {
      const taps = weight[c] ?? [];
      const sum = taps.reduce((acc, w, k) => {
        const source = t - (taps.length - 1) + k;
        return source < 0 ? acc : acc + w * at(rows[source], c);
      }, 0);
      return silu(sum);
    }),
  );
}

export interface DeltaShape {
  readonly keyHeads: number;
  readonly valueHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly normEps: number;
}

const l2Norm = (row: readonly number[], eps: number): number[] => {
  const scale = 1 / Math.sqrt(dot(row, row) + eps);
  return row.map((x) => x * scale);
};

/** Whole sequence from a zero state. */
export function gatedDelta(
  input: { mixed: Matrix; a: Matrix; b: Matrix },
  shape: DeltaShape,
  gates: { aLog: readonly number[]; dtBias: readonly number[] },
): number[][] {
  const { keyHeads, valueHeads, keyDim, valueDim } = shape;
  const states = Array.from({ length: valueHeads }, () =>
    Array.from({ length: valueDim }, () => new Array<number>(keyDim).fill(0)),
  );
  return input.mixed.map((row, t) =>
    states.flatMap((state, h) => {
      const keyHead = Math.floor(h / (valueHeads / keyHeads));
      const part = (first: number, size: number) => row.slice(first, first + size);
      const q = l2Norm(part(keyHead * keyDim, keyDim), shape.normEps).map(
        (x) => x * keyDim ** -0.5,
      );
      const k = l2Norm(part((keyHeads + keyHead) * keyDim, keyDim), shape.normEps);
      const v = part(2 * keyHeads * keyDim + h * valueDim, valueDim);
      const step = softplus(at(input.a[t], h) + at(gates.dtBias, h));
      const decay = Math.exp(-Math.exp(at(gates.aLog, h)) * step);
      const beta = sigmoid(at(input.b[t], h));
      return state.map((line, i) => {
        line.forEach((x, j) => (line[j] = x * decay));
        const delta = (at(v, i) - dot(line, k)) * beta;
        line.forEach((x, j) => (line[j] = x + at(k, j) * delta));
        return dot(line, q);
      });
    }),
  );
}

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ropeDims: number;
  readonly ropeTheta: number;
  readonly gated: boolean;
  readonly normEps: number;
  readonly scale: number;
}

export function rope(
  row: readonly number[],
  position: number,
  shape: { ropeDims: number; ropeTheta: number },
): number[] {
  const half = shape.ropeDims / 2;
  const out = [...row];
  for (let i = 0; i < half; i += 1) {
    const angle = position * shape.ropeTheta ** ((-2 * i) / shape.ropeDims);
    const a = at(row, i);
    const b = at(row, i + half);
    out[i] = a * Math.cos(angle) - b * Math.sin(angle);
    out[i + half] = b * Math.cos(angle) + a * Math.sin(angle);
  }
  return out;
}

/** Whole sequence from an empty cache. */
export function attention(
  input: { q: Matrix; k: Matrix; v: Matrix },
  shape: AttentionShape,
  norms: { q: readonly number[]; k: readonly number[] },
): number[][] {
  const { headDim, heads, kvHeads } = shape;
  const width = shape.gated ? 2 * headDim : headDim;
  const keys = input.k.map((row, t) =>
    splitHeads(row, headDim).map((k) => rope(rmsNorm(k, norms.k, shape.normEps), t, shape)),
  );
  const values = input.v.map((row) => splitHeads(row, headDim));
  return input.q.map((row, t) =>
    splitHeads(row, width).flatMap((head, h) => {
      const query = rope(rmsNorm(head.slice(0, headDim), norms.q, shape.normEps), t, shape);
      const kv = Math.floor(h / (heads / kvHeads));
      const scores = keys.slice(0, t + 1).map((k) => dot(query, k[kv] ?? []) * shape.scale);
      const top = Math.max(...scores);
      const weights = scores.map((s) => Math.exp(s - top));
      const total = weights.reduce((sum, w) => sum + w, 0);
      return Array.from({ length: headDim }, (_, d) => {
        const mixed = weights.reduce((sum, w, j) => sum + w * at(values[j]?.[kv], d), 0) / total;
        return shape.gated ? mixed * sigmoid(at(head, headDim + d)) : mixed;
      });
    }),
  );
}

function splitHeads(row: readonly number[], width: number): number[][] {
  const heads: number[][] = [];
  for (let first = 0; first < row.length; first += width) {
    heads.push(row.slice(first, first + width));
  }
  return heads;
}
