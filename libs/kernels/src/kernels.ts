import { SanctumError } from '@sanctum/errors';
import { Context, type ContextOptions } from './context.js';
import type { QuantizationBits, QuantizationGroup } from './data.js';
import { check } from './handle.js';
import { findLibrary } from './library-path.js';
import { bindNative, type NativeLibrary } from './native.js';

/** The ABI this binding speaks; SK_ABI_VERSION of sanctum.h. */
export const ABI_VERSION = 1;

const INFO_BYTES = 4096;

export interface LibraryInfo {
  readonly name: string;
  readonly version: string;
  readonly abi: number;
  /** What a context would choose on this machine. */
  readonly isa: string;
  /** All this machine can run. */
  readonly isas: readonly string[];
}

export interface QuantizedMatrix {
  /** u32 [rows, cols * bits / 32] */
  readonly packed: Uint32Array;
  /** f32 [rows, cols / groupSize] */
  readonly scales: Float32Array;
  readonly biases: Float32Array;
}

/** A loaded compute library. */
export class Kernels {
  readonly #native: NativeLibrary;

  constructor(
    native: NativeLibrary,
    /** File the library was loaded from. */
    readonly path: string,
  ) {
    this.#native = native;
  }

  get info(): LibraryInfo {
    const json = new Uint8Array(INFO_BYTES);
    check(this.#native, this.#native.sk_library_info(json, INFO_BYTES), 'library info');
    const text = new TextDecoder().decode(json.subarray(0, json.indexOf(0)));
    return JSON.parse(text) as LibraryInfo;
  }

  createContext(options: ContextOptions): Context {
    return new Context(this.#native, options);
  }

  /** MLX affine quantisation of f32 values [rows, cols]; cols is a multiple of groupSize. */
  quantize(
    values: Float32Array,
    layout: { rows: number; cols: number; bits: QuantizationBits; groupSize: QuantizationGroup },
  ): QuantizedMatrix {
    const { rows, cols, bits, groupSize } = layout;
    if (values.length !== rows * cols || rows < 1 || cols % groupSize !== 0) {
      throw new SanctumError(
        'kernel',
        `quantize: ${values.length} values are not [${rows}, ${cols}] in groups of ${groupSize}.`,
      );
    }
    const packed = new Uint32Array((rows * cols * bits) / 32);
    const scales = new Float32Array((rows * cols) / groupSize);
    const biases = new Float32Array(scales.length);
    const status = this.#native.sk_quantize(
      values,
      rows,
      cols,
      bits,
      groupSize,
      packed,
      scales,
      biases,
    );
    check(this.#native, status, 'quantize');
    return { packed, scales, biases };
  }
}

/**
 * Loads a library that implements sanctum.h: the one at `path`, else the one beside the running
 * bundle, else the one built for these sources.
 * Throws `prerequisite_missing` when there is none, `kernel` when it is not loadable or its ABI is
 * another.
 */
export function openKernels(path?: string): Kernels {
  const file = findLibrary(path);
  let native: NativeLibrary;
  try {
    native = bindNative(file);
  } catch (cause) {
    throw new SanctumError('kernel', `Cannot load the native library ${file}.`, { cause });
  }
  const version = native.sk_abi_version();
  if (version !== ABI_VERSION) {
    throw new SanctumError(
      'kernel',
      `${file} speaks ABI ${version}, this build needs ${ABI_VERSION}; rebuild the library.`,
    );
  }
  return new Kernels(native, file);
}
