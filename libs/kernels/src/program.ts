import { SanctumError } from '@sanctum/errors';
import type { Tensor, Weight } from './data.js';
import { check, create, NativeObject } from './handle.js';
import type { Handle } from './native-structs.js';
import type { NativeLibrary } from './native.js';
import {
  readSampled,
  SAMPLED_BYTES,
  samplingStruct,
  type SampledToken,
  type SamplingParams,
} from './sampling.js';
import { Sequence } from './sequence.js';

export type KeyValueType = 'default' | 'f32' | 'f16';
export type WantedLogits = 'none' | 'last' | 'all';

const KV_TYPES: Readonly<Record<KeyValueType, number>> = { default: 0, f32: 1, f16: 2 };
const WANTED: Readonly<Record<WantedLogits, number>> = { none: 0, last: 1, all: 2 };
const SPAN_BYTES = 24;

export interface ProgramOptions {
  readonly maxStepTokens: number;
  /** Longest sequence in tokens. */
  readonly maxPositions: number;
  /** `default`: f32 in exact mode, f16 in fast mode. */
  readonly keyValues?: KeyValueType;
}

/** A virtual register: activations [tokens, dim] in f32. */
export interface Register {
  readonly id: number;
  readonly dim: number;
}

export interface GatedDelta {
  /** [2*keyHeads*keyDim + valueHeads*valueDim]: q | k | v after the convolution. */
  readonly mixed: Register;
  /** [valueHeads] */
  readonly a: Register;
  /** [valueHeads] */
  readonly b: Register;
  /** [valueHeads*valueDim] */
  readonly dst: Register;
  readonly aLog: Tensor;
  readonly dtBias: Tensor;
  readonly keyHeads: number;
  readonly valueHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** 1e-6 in Qwen3.5; added to the sum of squares. */
  readonly normEps: number;
}

export interface Attention {
  /** [heads*headDim], or with `gated` [heads*2*headDim]: per head q | gate. */
  readonly q: Register;
  readonly k: Register;
  readonly v: Register;
  readonly dst: Register;
  /** [headDim]; left out: no norm. */
  readonly qNorm?: Tensor;
  readonly kNorm?: Tensor;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ropeDims: number;
  readonly ropeTheta: number;
  readonly gated: boolean;
  readonly normEps: number;
  /** Usually headDim ** -0.5. */
  readonly scale: number;
}

export interface Span {
  readonly sequence: Sequence;
  /** At least one token; appended to the sequence. */
  readonly tokens: Int32Array | readonly number[];
  readonly logits: WantedLogits;
}

/**
 * A model recorded as operations over registers, then run per step over many sequences. Record in
 * order, logits last, then `end()`. native/include/sanctum.h states what each operation computes.
 */
export class Program extends NativeObject {
  readonly #sampled = new Uint8Array(SAMPLED_BYTES);
  #vocabulary = 0;

  private constructor(native: NativeLibrary, handle: Handle) {
    super(native, handle);
  }

  static begin(native: NativeLibrary, context: Handle, options: ProgramOptions): Program {
    const struct = {
      max_step_tokens: options.maxStepTokens,
      max_positions: options.maxPositions,
      kv: KV_TYPES[options.keyValues ?? 'default'],
    };
    const handle = create(native, 'program', (out) =>
      native.sk_program_begin(context, struct, out),
    );
    return new Program(native, handle);
  }

  buffer(dim: number): Register {
    const out = new Uint32Array(1);
    this.#check(this.native.sk_program_buffer(this.handle, dim, out), 'buffer');
    return { id: out[0] ?? 0, dim };
  }

  embed(weight: Weight, dst: Register): void {
    this.#check(this.native.sk_op_embed(this.handle, weight.handle, dst.id), 'embed');
  }

  rmsNorm(src: Register, op: { weight: Tensor; eps: number; dst: Register }): void {
    const { weight, eps, dst } = op;
    const status = this.native.sk_op_rms_norm(this.handle, src.id, weight.handle, eps, dst.id);
    this.#check(status, 'rms norm');
  }

  /** residual += delta; dst = rmsNorm(residual). */
  addRmsNorm(op: {
    residual: Register;
    delta: Register;
    weight: Tensor;
    eps: number;
    dst: Register;
  }): void {
    const { residual, delta, weight, eps, dst } = op;
    const status = this.native.sk_op_add_rms_norm(
      this.handle,
      residual.id,
      delta.id,
      weight.handle,
      eps,
      dst.id,
    );
    this.#check(status, 'add rms norm');
  }

  linear(weight: Weight, op: { src: Register; dst: Register; bias?: Tensor }): void {
    const bias = op.bias?.handle ?? 0;
    const status = this.native.sk_op_linear(this.handle, weight.handle, bias, op.src.id, op.dst.id);
    this.#check(status, 'linear');
  }

  /** dst = silu(gate) * up. */
  siluMul(op: { gate: Register; up: Register; dst: Register }): void {
    const { gate, up, dst } = op;
    this.#check(this.native.sk_op_silu_mul(this.handle, gate.id, up.id, dst.id), 'silu mul');
  }

  /** Causal depthwise convolution with state, then silu; weight channel-major [dim, taps]. */
  conv1dSilu(op: { src: Register; weight: Tensor; taps: number; dst: Register }): void {
    const { src, weight, taps, dst } = op;
    const status = this.native.sk_op_conv1d_silu(this.handle, src.id, weight.handle, taps, dst.id);
    this.#check(status, 'conv1d');
  }

  gatedDelta(op: GatedDelta): void {
    const status = this.native.sk_op_gated_delta(this.handle, {
      mixed: op.mixed.id,
      a: op.a.id,
      b: op.b.id,
      dst: op.dst.id,
      a_log: op.aLog.handle,
      dt_bias: op.dtBias.handle,
      key_heads: op.keyHeads,
      value_heads: op.valueHeads,
      key_dim: op.keyDim,
      value_dim: op.valueDim,
      norm_eps: op.normEps,
    });
    this.#check(status, 'gated delta');
  }

  /** Per group of the weight's size: dst = rmsNorm(src) * weight * silu(gate). */
  rmsNormGated(op: {
    src: Register;
    gate: Register;
    weight: Tensor;
    eps: number;
    dst: Register;
  }): void {
    const { src, gate, weight, eps, dst } = op;
    const status = this.native.sk_op_rms_norm_gated(
      this.handle,
      src.id,
      gate.id,
      weight.handle,
      eps,
      dst.id,
    );
    this.#check(status, 'gated rms norm');
  }

  attention(op: Attention): void {
    const status = this.native.sk_op_attention(this.handle, {
      q: op.q.id,
      k: op.k.id,
      v: op.v.id,
      dst: op.dst.id,
      q_norm: op.qNorm?.handle ?? 0,
      k_norm: op.kNorm?.handle ?? 0,
      heads: op.heads,
      kv_heads: op.kvHeads,
      head_dim: op.headDim,
      rope_dims: op.ropeDims,
      gated: op.gated ? 1 : 0,
      norm_eps: op.normEps,
      scale: op.scale,
      rope_theta: op.ropeTheta,
    });
    this.#check(status, 'attention');
  }

  /** The last operation: logits of the rows a step asks for. */
  logits(weight: Weight, src: Register): void {
    this.#check(this.native.sk_op_logits(this.handle, weight.handle, src.id), 'logits');
    this.#vocabulary = weight.outDim;
  }

  /** Checks the recording and plans memory; steps may run afterwards. */
  end(): void {
    this.#check(this.native.sk_program_end(this.handle), 'program end');
  }

  createSequence(): Sequence {
    return Sequence.create(this.native, this.handle);
  }

  /**
   * Runs one ragged batch. Logits rows are numbered in span order and stay until the next step.
   * A failed step leaves every sequence as it was; `out_of_memory` when a limit is reached.
   */
  step(spans: readonly Span[]): void {
    const total = spans.reduce((sum, span) => sum + span.tokens.length, 0);
    const tokens = new Int32Array(total);
    const bytes = new Uint8Array(SPAN_BYTES * spans.length);
    const view = new DataView(bytes.buffer);
    let first = 0;
    spans.forEach((span, index) => {
      tokens.set(span.tokens, first);
      const at = SPAN_BYTES * index;
      view.setBigUint64(at, BigInt(span.sequence.handle), true);
      view.setUint32(at + 8, first, true);
      view.setUint32(at + 12, span.tokens.length, true);
      view.setInt32(at + 16, WANTED[span.logits], true);
      first += span.tokens.length;
    });
    const status = this.native.sk_step(this.handle, tokens, total, bytes, spans.length);
    this.#check(status, 'step');
  }

  /** Logits rows of the last step. */
  get rows(): number {
    const out = new Uint32Array(1);
    this.#check(this.native.sk_logits_rows(this.handle, out), 'logits rows');
    return out[0] ?? 0;
  }

  readLogits(row: number): Float32Array {
    const logits = new Float32Array(this.#vocabulary);
    this.#check(this.native.sk_logits(this.handle, row, logits, logits.length), 'logits');
    return logits;
  }

  sample(row: number, params: SamplingParams = {}): SampledToken {
    const bias = params.logitBias;
    if (bias && bias.tokens.length !== bias.values.length) {
      throw new SanctumError('kernel', 'sample: logitBias has as many values as tokens.');
    }
    const status = this.native.sk_sample(
      this.handle,
      row,
      samplingStruct(params),
      params.history ?? null,
      bias?.tokens ?? null,
      bias?.values ?? null,
      params.tokenMask ?? null,
      this.#sampled,
    );
    this.#check(status, 'sample');
    return readSampled(this.#sampled);
  }

  protected release(): number {
    return this.native.sk_program_free(this.handle);
  }

  #check(status: number, what: string): void {
    check(this.native, status, what);
  }
}
