import { check, create, NativeObject } from './handle.js';
import type { Handle } from './native-structs.js';
import type { NativeLibrary } from './native.js';

export type TensorType = 'f32' | 'f16' | 'bf16' | 'u32';
export type QuantizationBits = 2 | 3 | 4 | 5 | 6 | 8;
export type QuantizationGroup = 32 | 64 | 128;

const TENSOR_TYPES: Readonly<Record<TensorType, number>> = { f32: 1, f16: 2, bf16: 3, u32: 4 };

export interface TensorLayout {
  readonly type: TensorType;
  /** One to four dimensions, row-major. */
  readonly shape: readonly number[];
}

/** A read-only mapping of an open file. Weights and tensors made from it keep it alive. */
export class FileMap extends NativeObject {
  constructor(native: NativeLibrary, context: Handle, file: { fd: number; length: number }) {
    super(
      native,
      create(native, 'map file', (out) => native.sk_map_file(context, file.fd, file.length, out)),
    );
  }

  protected release(): number {
    return this.native.sk_map_free(this.handle);
  }
}

export class Tensor extends NativeObject {
  private constructor(
    native: NativeLibrary,
    handle: Handle,
    readonly layout: TensorLayout,
  ) {
    super(native, handle);
  }

  /** A view of a mapped file at any byte offset. */
  static view(
    native: NativeLibrary,
    context: Handle,
    source: TensorLayout & { map: FileMap; offset: number },
  ): Tensor {
    const handle = create(native, 'tensor view', (out) =>
      native.sk_tensor_view(
        context,
        source.map.handle,
        source.offset,
        TENSOR_TYPES[source.type],
        source.shape.length,
        shapeOf(source),
        out,
      ),
    );
    return new Tensor(native, handle, { type: source.type, shape: source.shape });
  }

  /** A tensor with its own copy of `data`, whose bytes are the elements in row-major order. */
  static copy(
    native: NativeLibrary,
    context: Handle,
    source: TensorLayout & { data: Uint8Array | Float32Array | Uint32Array },
  ): Tensor {
    const { data } = source;
    const handle = create(native, 'tensor', (out) =>
      native.sk_tensor_create(
        context,
        TENSOR_TYPES[source.type],
        source.shape.length,
        shapeOf(source),
        data.byteLength > 0 ? data : null,
        data.byteLength,
        out,
      ),
    );
    return new Tensor(native, handle, { type: source.type, shape: source.shape });
  }

  protected release(): number {
    return this.native.sk_tensor_free(this.handle);
  }
}

export interface QuantizedParts {
  /** u32 [out, in * bits / 32] */
  readonly packed: Tensor;
  /** [out, in / groupSize], f32, f16 or bf16 */
  readonly scales: Tensor;
  readonly biases: Tensor;
  readonly bits: QuantizationBits;
  readonly groupSize: QuantizationGroup;
}

/** A matrix [out, in] that linear, embed and logits take. */
export class Weight extends NativeObject {
  private constructor(
    native: NativeLibrary,
    handle: Handle,
    private readonly dims: { outDim: number; inDim: number },
  ) {
    super(native, handle);
  }

  /** Rows: outputs of a linear, or the vocabulary of a table. */
  get outDim(): number {
    return this.dims.outDim;
  }

  get inDim(): number {
    return this.dims.inDim;
  }

  static dense(native: NativeLibrary, context: Handle, tensor: Tensor): Weight {
    const handle = create(native, 'dense weight', (out) =>
      native.sk_weight_dense(context, tensor.handle, out),
    );
    const [outDim = 0, inDim = 0] = tensor.layout.shape;
    return new Weight(native, handle, { outDim, inDim });
  }

  /** MLX affine layout: value = scale * q + bias per group. */
  static quantized(native: NativeLibrary, context: Handle, parts: QuantizedParts): Weight {
    const handle = create(native, 'quantized weight', (out) =>
      native.sk_weight_quantized(
        context,
        parts.packed.handle,
        parts.scales.handle,
        parts.biases.handle,
        parts.bits,
        parts.groupSize,
        out,
      ),
    );
    const [outDim = 0, groups = 0] = parts.scales.layout.shape;
    return new Weight(native, handle, { outDim, inDim: groups * parts.groupSize });
  }

  /** All values as f32 [outDim, inDim]. */
  dequantize(): Float32Array {
    const values = new Float32Array(this.outDim * this.inDim);
    const status = this.native.sk_weight_dequantize(this.handle, values, values.length);
    check(this.native, status, 'dequantize');
    return values;
  }

  protected release(): number {
    return this.native.sk_weight_free(this.handle);
  }
}

function shapeOf(layout: TensorLayout): BigUint64Array {
  return BigUint64Array.from(layout.shape, (size) => BigInt(size));
}
