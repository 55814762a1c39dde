import { SanctumError } from '@sanctum/errors';
import { isJsonObject, parseJsonObject, readBytes, type OpenFile } from './open-file.js';

/** Bytes per element of every dtype of the format that fills whole bytes. */
const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
  C64: 8,
} as const;

export type SafetensorsDtype = keyof typeof DTYPE_BYTES;

export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Byte offset from the start of the file; of any alignment. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** The limit of the reference implementation. */
export const HEADER_BYTES_MAX = 100_000_000;
/** Dimensions of one tensor. */
export const TENSOR_RANK_MAX = 8;
const PREFIX_BYTES = 8;

/**
 * Reads and checks the header of a safetensors file; the data itself is not touched.
 * Source: https://github.com/huggingface/safetensors#format
 * @throws model_invalid naming the file and, where one is at fault, the tensor
 */
export function readSafetensors(file: OpenFile): TensorEntry[] {
  if (file.size < PREFIX_BYTES) {
    throw broken(file.name, `${file.size} bytes are too few for a header: the file is truncated`);
  }
  const prefix = readBytes(file, { offset: 0, length: PREFIX_BYTES });
  const headerLength = new DataView(prefix.buffer).getBigUint64(0, true);
  if (headerLength > BigInt(HEADER_BYTES_MAX)) {
    throw broken(
      file.name,
      `the header claims ${headerLength} bytes of ${HEADER_BYTES_MAX} at most`,
    );
  }
  const length = Number(headerLength);
  if (PREFIX_BYTES + length > file.size) {
    throw broken(
      file.name,
      `the header claims ${length} bytes, the file has ${file.size}: it is truncated or not safetensors`,
    );
  }
  const header = readBytes(file, { offset: PREFIX_BYTES, length });
  return parseHeader(header, {
    file: file.name,
    dataOffset: PREFIX_BYTES + length,
    size: file.size,
  });
}

interface Layout {
  readonly file: string;
  /** Where the data begins, in bytes from the start of the file. */
  readonly dataOffset: number;
  /** Bytes of the whole file. */
  readonly size: number;
}

/** Every byte of the data belongs to exactly one tensor; anything else is refused. */
function parseHeader(header: Uint8Array, layout: Layout): TensorEntry[] {
  const entries: TensorEntry[] = [];
  for (const [name, value] of Object.entries(parseJsonObject(header, `${layout.file}: header`))) {
    if (name === '__metadata__') continue;
    entries.push(parseEntry(name, value, layout));
  }
  entries.sort((a, b) => a.offset - b.offset || a.length - b.length);
  let end = layout.dataOffset;
  for (const entry of entries) {
    if (entry.offset !== end) {
      const what = entry.offset < end ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw broken(layout.file, `tensor "${entry.name}" ${what}`);
    }
    end += entry.length;
  }
  if (end !== layout.size) {
    throw broken(
      layout.file,
      `the tensors end at byte ${end}, the file at ${layout.size}: it is damaged or has been added to`,
    );
  }
  return entries;
}

function parseEntry(name: string, value: unknown, layout: Layout): TensorEntry {
  const fail = (problem: string): SanctumError =>
    broken(layout.file, `tensor "${name}": ${problem}`);
  if (!isJsonObject(value)) throw fail('its header entry is not an object');
  const dtype = value['dtype'];
  if (!isDtype(dtype)) throw fail(`unknown dtype ${JSON.stringify(dtype)}`);
  const shape = value['shape'];
  if (!isCounts(shape) || shape.length > TENSOR_RANK_MAX) {
    throw fail(`shape must be at most ${TENSOR_RANK_MAX} whole numbers`);
  }
  const offsets = value['data_offsets'];
  if (!isCounts(offsets)) throw fail('data_offsets must be two whole numbers');
  const [begin, end, ...rest] = offsets;
  if (begin === undefined || end === undefined || rest.length > 0) {
    throw fail('data_offsets must be two whole numbers');
  }
  if (begin > end || layout.dataOffset + end > layout.size) {
    throw fail(
      `data_offsets [${begin}, ${end}] lie outside the ${layout.size - layout.dataOffset} data bytes`,
    );
  }
  // A product that leaves the safe integers cannot equal a difference of two offsets in a file.
  const expected = shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
  if (expected !== end - begin) {
    throw fail(
      `${dtype} [${shape.join(', ')}] is ${expected} bytes, data_offsets span ${end - begin}`,
    );
  }
  return { name, dtype, shape, offset: layout.dataOffset + begin, length: end - begin };
}

function isDtype(value: unknown): value is SafetensorsDtype {
  return typeof value === 'string' && Object.hasOwn(DTYPE_BYTES, value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function broken(file: string, problem: string): SanctumError {
  return new SanctumError('model_invalid', `${file}: ${problem}.`, { param: file });
}
