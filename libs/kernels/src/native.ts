import koffi, { type TypeObject } from 'koffi';
import {
  STRUCTS,
  type AttentionStruct,
  type ContextOptionsStruct,
  type GatedDeltaStruct,
  type Handle,
  type LimitsStruct,
  type SamplingStruct,
} from './native-structs.js';

type Status = number;
type Bytes = Uint8Array | Uint32Array | Int32Array | Float32Array | BigUint64Array;

/** Every function of sanctum.h, by its C name; native/include/sanctum.h documents them. */
export interface NativeLibrary {
  sk_abi_version(): number;
  sk_last_error(): string;
  sk_library_info(json: Uint8Array | null, capacity: number): Status;
  sk_context_create(options: ContextOptionsStruct | null, out: BigUint64Array | null): Status;
  sk_context_free(context: Handle): Status;
  sk_context_limits(context: Handle, limits: LimitsStruct | null): Status;
  sk_context_stats(context: Handle, stats: BigUint64Array | null): Status;
  sk_context_isa(context: Handle, name: Uint8Array | null, capacity: number): Status;
  sk_context_clear_cache(context: Handle): Status;
  sk_map_file(context: Handle, fd: number, length: number, out: BigUint64Array | null): Status;
  sk_map_free(map: Handle): Status;
  sk_tensor_view(
    context: Handle,
    map: Handle,
    offset: number,
    dtype: number,
    ndim: number,
    shape: BigUint64Array | null,
    out: BigUint64Array | null,
  ): Status;
  sk_tensor_create(
    context: Handle,
    dtype: number,
    ndim: number,
    shape: BigUint64Array | null,
    data: Bytes | null,
    bytes: number,
    out: BigUint64Array | null,
  ): Status;
  sk_tensor_free(tensor: Handle): Status;
  sk_weight_dense(context: Handle, tensor: Handle, out: BigUint64Array | null): Status;
  sk_weight_quantized(
    context: Handle,
    packed: Handle,
    scales: Handle,
    biases: Handle,
    bits: number,
    groupSize: number,
    out: BigUint64Array | null,
  ): Status;
  sk_weight_free(weight: Handle): Status;
  sk_program_begin(
    context: Handle,
    options: { max_step_tokens: number; max_positions: number; kv: number } | null,
    out: BigUint64Array | null,
  ): Status;
  sk_program_buffer(program: Handle, dim: number, out: Uint32Array | null): Status;
  sk_op_embed(program: Handle, weight: Handle, dst: number): Status;
  sk_op_rms_norm(program: Handle, src: number, weight: Handle, eps: number, dst: number): Status;
  sk_op_add_rms_norm(
    program: Handle,
    residual: number,
    delta: number,
    weight: Handle,
    eps: number,
    dst: number,
  ): Status;
  sk_op_linear(program: Handle, weight: Handle, bias: Handle, src: number, dst: number): Status;
  sk_op_silu_mul(program: Handle, gate: number, up: number, dst: number): Status;
  sk_op_conv1d_silu(
    program: Handle,
    src: number,
    weight: Handle,
    taps: number,
    dst: number,
  ): Status;
  sk_op_gated_delta(program: Handle, desc: GatedDeltaStruct | null): Status;
  sk_op_rms_norm_gated(
    program: Handle,
    src: number,
    gate: number,
    weight: Handle,
    eps: number,
    dst: number,
  ): Status;
  sk_op_attention(program: Handle, desc: AttentionStruct | null): Status;
  sk_op_logits(program: Handle, weight: Handle, src: number): Status;
  sk_program_end(program: Handle): Status;
  sk_program_free(program: Handle): Status;
  sk_sequence_create(program: Handle, out: BigUint64Array | null): Status;
  sk_sequence_fork(sequence: Handle, out: BigUint64Array | null): Status;
  sk_sequence_length(sequence: Handle, out: BigUint64Array | null): Status;
  sk_sequence_free(sequence: Handle): Status;
  sk_step(
    program: Handle,
    tokens: Int32Array | null,
    tokenCount: number,
    spans: Uint8Array | null,
    spanCount: number,
  ): Status;
  sk_logits_rows(program: Handle, rows: Uint32Array | null): Status;
  sk_logits(program: Handle, row: number, logits: Float32Array | null, capacity: number): Status;
  sk_sample(
    program: Handle,
    row: number,
    sampling: SamplingStruct | null,
    history: Int32Array | null,
    biasTokens: Int32Array | null,
    biasValues: Float32Array | null,
    tokenMask: Uint32Array | null,
    sampled: Uint8Array | null,
  ): Status;
  sk_quantize(
    values: Float32Array | null,
    rows: number,
    cols: number,
    bits: number,
    groupSize: number,
    packed: Uint32Array | null,
    scales: Float32Array | null,
    biases: Float32Array | null,
  ): Status;
  sk_weight_dequantize(weight: Handle, values: Float32Array | null, capacity: number): Status;
}

/**
 * Parameters by C name. `h` handle or other u64, `u` u32, `i` i32, `f` float, `p` pointer to a
 * typed array of the caller, otherwise a struct of STRUCTS passed by pointer.
 */
const SIGNATURES = {
  sk_library_info: 'p h',
  sk_context_create: 'sk_context_options p',
  sk_context_free: 'h',
  sk_context_limits: 'h sk_limits',
  sk_context_stats: 'h p',
  sk_context_isa: 'h p h',
  sk_context_clear_cache: 'h',
  sk_map_file: 'h i h p',
  sk_map_free: 'h',
  sk_tensor_view: 'h h h i u p p',
  sk_tensor_create: 'h i u p p h p',
  sk_tensor_free: 'h',
  sk_weight_dense: 'h h p',
  sk_weight_quantized: 'h h h h u u p',
  sk_weight_free: 'h',
  sk_program_begin: 'h sk_program_options p',
  sk_program_buffer: 'h u p',
  sk_op_embed: 'h h u',
  sk_op_rms_norm: 'h u h f u',
  sk_op_add_rms_norm: 'h u u h f u',
  sk_op_linear: 'h h h u u',
  sk_op_silu_mul: 'h u u u',
  sk_op_conv1d_silu: 'h u h u u',
  sk_op_gated_delta: 'h sk_gated_delta',
  sk_op_rms_norm_gated: 'h u u h f u',
  sk_op_attention: 'h sk_attention',
  sk_op_logits: 'h h u',
  sk_program_end: 'h',
  sk_program_free: 'h',
  sk_sequence_create: 'h p',
  sk_sequence_fork: 'h p',
  sk_sequence_length: 'h p',
  sk_sequence_free: 'h',
  sk_step: 'h p u p u',
  sk_logits_rows: 'h p',
  sk_logits: 'h u p u',
  sk_sample: 'h u sk_sampling p p p p p',
  sk_quantize: 'p h h u u p p p',
  sk_weight_dequantize: 'h p h',
} as const satisfies Partial<Record<keyof NativeLibrary, string>>;

const SCALARS: Readonly<Record<string, string>> = {
  h: 'uint64_t',
  u: 'uint32_t',
  i: 'int32_t',
  f: 'float',
  p: 'void *',
};

/** Loads the shared library at `path` and declares its functions. Throws what dlopen says. */
export function bindNative(path: string): NativeLibrary {
  const library = koffi.load(path);
  const functions: Record<string, unknown> = {
    sk_abi_version: library.func('sk_abi_version', 'uint32_t', []),
    sk_last_error: library.func('sk_last_error', 'str', []),
  };
  for (const [name, signature] of Object.entries(SIGNATURES)) {
    functions[name] = library.func(name, 'int32_t', signature.split(' ').map(parameterType));
  }
  return functions as unknown as NativeLibrary;
}

function parameterType(letter: string): TypeObject | string {
  const struct = Object.entries(STRUCTS).find(([name]) => name === letter);
  return struct ? koffi.pointer(struct[1]) : (SCALARS[letter] ?? letter);
}
