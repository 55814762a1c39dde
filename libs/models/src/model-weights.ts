import { SanctumError } from '@sanctum/errors';
import type { Context, FileMap, Tensor, TensorType, Weight } from '@sanctum/kernels';
import type { Checkpoint, StoredTensor } from './checkpoint.js';
import { isFloatDtype, widen, type FloatDtype } from './float-vector.js';
import { readBytes, type OpenFile } from './open-file.js';
import {
  quantizationOf,
  type AffineQuantization,
  type QuantizationConfig,
} from './quantization.js';

const TENSOR_TYPES = { F32: 'f32', F16: 'f16', BF16: 'bf16', U32: 'u32' } as const satisfies Record<
  FloatDtype | 'U32',
  TensorType
>;

/** The shape of a matrix as linear layers use it, whatever its packing. */
export interface MatrixShape {
  readonly rows: number;
  readonly columns: number;
}

interface Sources {
  readonly context: Context;
  readonly checkpoint: Checkpoint;
  readonly quantization: QuantizationConfig;
}

/**
 * Weights of a checkpoint as the native library takes them. Matrices and convolutions are views of
 * the mapped files; vectors are copied, because they are widened to f32 and norms may be shifted.
 * May be freed once a program that uses them has ended its recording.
 */
export class ModelWeights {
  readonly #sources: Sources;
  readonly #maps = new Map<OpenFile, FileMap>();
  readonly #owned: { free(): void }[] = [];
  #parameterCount = 0;

  constructor(sources: Sources) {
    this.#sources = sources;
  }

  /** Parameters handed out so far, quantised ones counted as what they stand for. */
  get parameterCount(): number {
    return this.#parameterCount;
  }

  /** The matrix `module.weight` [rows, columns], dense or MLX affine. */
  matrix(module: string, shape: MatrixShape): Weight {
    this.#parameterCount += shape.rows * shape.columns;
    const { context, checkpoint, quantization } = this.#sources;
    if (!checkpoint.has(`${module}.scales`) && !checkpoint.has(`${module}.biases`)) {
      const dense = checkpoint.take(`${module}.weight`, [shape.rows, shape.columns]);
      return this.#own(context.denseWeight(this.#floats(dense)));
    }
    const setting = quantizationOf(quantization, module);
    if (setting === undefined || setting === 'dense') {
      throw invalid(`"${module}" is stored quantised, but config.json says it is dense`, module);
    }
    return this.#quantized(module, shape, setting);
  }

  /** The weight of an RMS norm, f32 [size], ready to multiply by. */
  norm(module: string, size: number): Tensor {
    const shift = this.#sources.checkpoint.published ? 1 : 0;
    return this.#vector(`${module}.weight`, size, (value) => value + shift);
  }

  /** A vector as stored, widened to f32 [size]. */
  vector(name: string, size: number): Tensor {
    return this.#vector(name, size, (value) => value);
  }

  /** A depthwise convolution's weight: channels × taps values, channel by channel. */
  convolution(module: string, { rows: channels, columns: taps }: MatrixShape): Tensor {
    this.#parameterCount += channels * taps;
    const { checkpoint } = this.#sources;
    const shape = checkpoint.published ? [channels, 1, taps] : [channels, taps, 1];
    return this.#floats(checkpoint.take(`${module}.weight`, shape));
  }

  free(): void {
    for (const object of this.#owned.splice(0).reverse()) object.free();
    this.#maps.clear();
  }

  #quantized(module: string, shape: MatrixShape, setting: AffineQuantization): Weight {
    const { rows, columns } = shape;
    const { bits, groupSize } = setting;
    if (columns % groupSize !== 0) {
      throw invalid(`"${module}" has ${columns} inputs, not whole groups of ${groupSize}`, module);
    }
    const { context, checkpoint } = this.#sources;
    const groups = [rows, columns / groupSize];
    const packed = checkpoint.take(`${module}.weight`, [rows, (columns * bits) / 32]);
    if (packed.dtype !== 'U32') throw wrongDtype(packed, 'U32');
    return this.#own(
      context.quantizedWeight({
        packed: this.#view(packed, 'U32'),
        scales: this.#floats(checkpoint.take(`${module}.scales`, groups)),
        biases: this.#floats(checkpoint.take(`${module}.biases`, groups)),
        bits,
        groupSize,
      }),
    );
  }

  #vector(name: string, size: number, adjust: (value: number) => number): Tensor {
    this.#parameterCount += size;
    const stored = this.#sources.checkpoint.take(name, [size]);
    if (!isFloatDtype(stored.dtype)) throw wrongDtype(stored, 'F32, F16 or BF16');
    const data = widen(readBytes(stored.file, stored), stored.dtype).map(adjust);
    return this.#own(this.#sources.context.createTensor({ type: 'f32', shape: [size], data }));
  }

  #floats(stored: StoredTensor): Tensor {
    if (!isFloatDtype(stored.dtype)) throw wrongDtype(stored, 'F32, F16 or BF16');
    return this.#view(stored, stored.dtype);
  }

  #view(stored: StoredTensor, dtype: FloatDtype | 'U32'): Tensor {
    const { shape, offset } = stored;
    const map = this.#map(stored.file);
    const type = TENSOR_TYPES[dtype];
    return this.#own(this.#sources.context.tensorView({ map, offset, type, shape }));
  }

  #map(file: OpenFile): FileMap {
    const mapped = this.#maps.get(file);
    if (mapped !== undefined) return mapped;
    const map = this.#own(this.#sources.context.mapFile({ fd: file.fd, length: file.size }));
    this.#maps.set(file, map);
    return map;
  }

  #own<Owned extends { free(): void }>(object: Owned): Owned {
    this.#owned.push(object);
    return object;
  }
}

function wrongDtype(stored: StoredTensor, expected: string): SanctumError {
  const problem = `tensor "${stored.name}" is ${stored.dtype}, expected ${expected}`;
  return invalid(`${stored.file.name}: ${problem}`, stored.name);
}

function invalid(problem: string, param: string): SanctumError {
  return new SanctumError('model_invalid', `${problem}.`, { param });
}
