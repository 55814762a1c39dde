import { describe, expect, it } from '@jest/globals';
import { isFloatDtype, widen } from './float-vector.js';

describe('widen', () => {
  it('reads f32 at any alignment', () => {
    const bytes = new Uint8Array(9);
    new DataView(bytes.buffer).setFloat32(1, -1.5, true);
    new DataView(bytes.buffer).setFloat32(5, 3e38, true);
    expect([...widen(bytes.subarray(1), 'F32')]).toEqual([-1.5, Math.fround(3e38)]);
  });

  it('reads f16: normal, subnormal, zero and infinite', () => {
    const bits = [0x3c00, 0xc100, 0x7bff, 0x0001, 0x83ff, 0x0000, 0x7c00, 0xfc00];
    const expected = [1, -2.5, 65504, 2 ** -24, -1023 * 2 ** -24, 0, Infinity, -Infinity];
    expect([...widen(words(bits), 'F16')]).toEqual(expected);
    expect([...widen(words([0x7c01]), 'F16')]).toEqual([NaN]);
  });

  it('reads bf16', () => {
    const bits = [0x3f80, 0xc020, 0x7f80, 0x0001];
    expect([...widen(words(bits), 'BF16')]).toEqual([1, -2.5, Infinity, 2 ** -133]);
  });
});

describe('isFloatDtype', () => {
  it('tells weights from packed words', () => {
    expect(isFloatDtype('BF16')).toBe(true);
    expect(isFloatDtype('U32')).toBe(false);
    expect(isFloatDtype('F64')).toBe(false);
  });
});

function words(values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint16Array.from(values).buffer);
}
