import type { SafetensorsDtype } from './safetensors.js';

/** Dtypes a weight may be stored in. */
export const FLOAT_DTYPES = ['F32', 'F16', 'BF16'] as const satisfies readonly SafetensorsDtype[];
export type FloatDtype = (typeof FLOAT_DTYPES)[number];

export function isFloatDtype(dtype: SafetensorsDtype): dtype is FloatDtype {
  return (FLOAT_DTYPES as readonly SafetensorsDtype[]).includes(dtype);
}

/** Widens little-endian floats to f32; every value is kept exactly. */
export function widen(bytes: Uint8Array, dtype: FloatDtype): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (dtype) {
    case 'F32':
      return Float32Array.from({ length: bytes.length / 4 }, (_, i) =>
        view.getFloat32(4 * i, true),
      );
    case 'F16':
      return Float32Array.from({ length: bytes.length / 2 }, (_, i) =>
        halfValue(view.getUint16(2 * i, true)),
      );
    case 'BF16': {
      const words = Uint32Array.from(
        { length: bytes.length / 2 },
        (_, i) => view.getUint16(2 * i, true) << 16,
      );
      return new Float32Array(words.buffer);
    }
  }
}

/** IEEE 754 binary16. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
