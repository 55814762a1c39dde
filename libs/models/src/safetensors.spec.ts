import { describe, expect, it } from '@jest/globals';
import { isSanctumError } from '@sanctum/errors';
import fc from 'fast-check';
import { readBytes } from './open-file.js';
import { HEADER_BYTES_MAX, readSafetensors, TENSOR_RANK_MAX } from './safetensors.js';
import { FIXTURES, ModelFolder, TemporaryModel, withHeader } from './testing/model-folder.js';

describe('readSafetensors', () => {
  it('reads what mlx-lm writes, at odd offsets too', () => {
    using model = new ModelFolder(`${FIXTURES}/flat-untied-q8g32`);
    const tensors = readSafetensors(model.file('model.safetensors'));
    const head = tensors.find((tensor) => tensor.name === 'language_model.lm_head.weight');
    expect(head).toMatchObject({ dtype: 'U32', shape: [131, 24], length: 131 * 24 * 4 });
    expect(tensors.some((tensor) => tensor.offset % 4 !== 0)).toBe(true);
  });

  it('takes a file without tensors, metadata and scalars', () => {
    expect(read(withHeader('{}'))).toEqual([]);
    const header = entry({ dtype: 'F32', shape: [], data_offsets: [0, 4] }, { __metadata__: {} });
    expect(read(withHeader(header, new Uint8Array(4)))).toHaveLength(1);
  });

  const data = new Uint8Array(8);
  const refused: Record<string, [Uint8Array, RegExp]> = {
    'an empty file': [new Uint8Array(), /truncated/],
    'a truncated prefix': [new Uint8Array(7), /truncated/],
    'a header length beyond the file': [withHeader('{}').subarray(0, 9), /claims 2 bytes/],
    'a header length beyond the limit': [
      new Uint8Array(Buffer.from('ffffffffffffffff7b7d', 'hex')),
      /claims 18446744073709551615 bytes/,
    ],
    'a header that is not JSON': [withHeader('{"a'), /not valid JSON/],
    'a header that is not UTF-8': [
      new Uint8Array(Buffer.from('04000000000000007b22ff7d', 'hex')),
      /not valid JSON/,
    ],
    'a header that is a list': [withHeader('[]'), /expected a JSON object/],
    'an entry that is not an object': [withHeader('{"w":1}', data), /"w".*not an object/],
    'an unknown dtype': [
      withHeader(entry({ dtype: 'F31', shape: [2], data_offsets: [0, 8] }), data),
      /"w".*unknown dtype "F31"/,
    ],
    'a dtype named like a method': [
      withHeader(entry({ dtype: 'toString', shape: [2], data_offsets: [0, 8] }), data),
      /unknown dtype/,
    ],
    'a negative dimension': [
      withHeader(entry({ dtype: 'F32', shape: [-2, -1], data_offsets: [0, 8] }), data),
      /"w".*whole numbers/,
    ],
    'too many dimensions': [
      withHeader(
        entry({ dtype: 'F32', shape: Array(TENSOR_RANK_MAX + 1).fill(1), data_offsets: [0, 4] }),
        data,
      ),
      /"w".*at most 8/,
    ],
    'an overflowing shape': [
      withHeader(entry({ dtype: 'F32', shape: [2 ** 40, 2 ** 40], data_offsets: [0, 8] }), data),
      /"w".*data_offsets span 8/,
    ],
    'a span that is not the size of the shape': [
      withHeader(entry({ dtype: 'F32', shape: [1], data_offsets: [0, 8] }), data),
      /"w".*4 bytes, data_offsets span 8/,
    ],
    'an end before the beginning': [
      withHeader(entry({ dtype: 'F32', shape: [2], data_offsets: [8, 0] }), data),
      /"w".*outside/,
    ],
    'an end beyond the file': [
      withHeader(entry({ dtype: 'F32', shape: [4], data_offsets: [0, 16] }), data),
      /"w".*outside the 8 data bytes/,
    ],
    'fractional offsets': [
      withHeader(entry({ dtype: 'F32', shape: [2], data_offsets: [0.5, 8.5] }), data),
      /"w".*two whole numbers/,
    ],
    'three offsets': [
      withHeader(entry({ dtype: 'F32', shape: [2], data_offsets: [0, 8, 9] }), data),
      /"w".*two whole numbers/,
    ],
    'overlapping tensors': [
      withHeader(
        entry(
          { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
          { v: { dtype: 'F32', shape: [1], data_offsets: [4, 8] } },
        ),
        data,
      ),
      /"v" overlaps/,
    ],
    'a gap': [
      withHeader(entry({ dtype: 'F32', shape: [1], data_offsets: [4, 8] }), data),
      /"w" leaves a gap/,
    ],
    'bytes after the last tensor': [
      withHeader(entry({ dtype: 'F32', shape: [1], data_offsets: [0, 4] }), data),
      /tensors end at byte/,
    ],
  };
  it.each(Object.entries(refused))('refuses %s, naming the file', (_, [bytes, message]) => {
    expect(() => read(bytes)).toThrow(message);
    expect(() => read(bytes)).toThrow(/^w\.safetensors: /);
  });

  it('refuses a header one byte above the limit before reading it', () => {
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(HEADER_BYTES_MAX) + 1n);
    expect(() => read(prefix)).toThrow(/of 100000000 at most/);
  });

  it('answers any bytes with entries inside the file or an error, never anything else', () => {
    using model = new ModelFolder(`${FIXTURES}/hf-flat-f16`);
    const name = 'model-00001-of-00002.safetensors';
    const size = model.file(name).size;
    const header = Buffer.from(headerOf(model, name));
    const edit = fc.record({ at: fc.nat(header.length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), fc.nat(64), (edits, cut) => {
        const bytes = Buffer.alloc(size);
        header.copy(bytes);
        for (const { at, byte } of edits) bytes[at] = byte;
        expectSound(bytes.subarray(0, size - cut));
      }),
      { numRuns: 300 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), expectSound), { numRuns: 200 });
  });
});

function expectSound(bytes: Uint8Array): void {
  try {
    for (const tensor of read(bytes)) {
      expect(tensor.offset + tensor.length).toBeLessThanOrEqual(bytes.length);
    }
  } catch (error) {
    expect(isSanctumError(error) && error.code).toBe('model_invalid');
  }
}

function read(bytes: Uint8Array): ReturnType<typeof readSafetensors> {
  using model = new TemporaryModel({ 'w.safetensors': bytes });
  return readSafetensors(model.file('w.safetensors'));
}

function entry(tensor: object, more: object = {}): string {
  return JSON.stringify({ w: tensor, ...more });
}

function headerOf(model: ModelFolder, name: string): Uint8Array {
  const tensors = readSafetensors(model.file(name));
  const end = Math.min(...tensors.map((tensor) => tensor.offset));
  return readBytes(model.file(name), { offset: 0, length: end });
}
