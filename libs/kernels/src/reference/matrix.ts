/** Rows of float64 values: what the references compute with. */
export type Matrix = readonly (readonly number[])[];

export type Random = () => number;

/** A reproducible generator of values in [0, 1): mulberry32. */
export function randomSource(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Values in [-scale, scale), exact in f32. */
export function randomRow(random: Random, length: number, scale = 1): number[] {
  return Array.from({ length }, () => Math.fround((random() * 2 - 1) * scale));
}

export function randomMatrix(
  random: Random,
  shape: { rows: number; cols: number },
  scale = 1,
): number[][] {
  return Array.from({ length: shape.rows }, () => randomRow(random, shape.cols, scale));
}

export function flatten(matrix: Matrix): Float32Array {
  return Float32Array.from(matrix.flat());
}

export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? NaN), 0);
}

/** Largest |a - b| over all elements; Infinity when the shapes differ or a value is NaN. */
export function maxDifference(a: Matrix, b: Matrix): number {
  if (a.length !== b.length) return Infinity;
  let worst = 0;
  a.forEach((row, r) => {
    const other = b[r] ?? [];
    if (row.length !== other.length) worst = Infinity;
    row.forEach((value, c) => {
      const difference = Math.abs(value - (other[c] ?? NaN));
      worst = Number.isNaN(difference) ? Infinity : Math.max(worst, difference);
    });
  });
  return worst;
}
