import { z } from 'zod';
import { parseConfig } from './model-config.js';

/** Sizes above these are typing errors or attacks, not models. */
export const QWEN3_5_LIMITS = {
  layers: 512,
  heads: 1024,
  headSize: 1024,
  hiddenSize: 65_536,
  intermediateSize: 262_144,
  vocabSize: 4_194_304,
  contextLength: 16_777_216,
  convolutionKernel: 16,
} as const;

const upTo = (max: number) => z.int().positive().max(max);
const layerType = z.enum(['linear_attention', 'full_attention']);

const rope = z
  .object({
    rope_theta: z.number().positive(),
    partial_rotary_factor: z.number().positive().max(1).default(0.25),
    rope_type: z.literal('default').optional(),
    type: z.literal('default').optional(),
  })
  .transform((value) => ({ theta: value.rope_theta, factor: value.partial_rotary_factor }));

/** Older configurations say here how rotations are scaled; scaled ones are not implemented. */
const ropeScaling = z.object({
  rope_type: z.literal('default').optional(),
  type: z.literal('default').optional(),
  factor: z.literal(1).optional(),
});

const schema = z
  .object({
    vocab_size: upTo(QWEN3_5_LIMITS.vocabSize),
    hidden_size: upTo(QWEN3_5_LIMITS.hiddenSize),
    intermediate_size: upTo(QWEN3_5_LIMITS.intermediateSize),
    num_hidden_layers: upTo(QWEN3_5_LIMITS.layers),
    num_attention_heads: upTo(QWEN3_5_LIMITS.heads),
    num_key_value_heads: upTo(QWEN3_5_LIMITS.heads),
    head_dim: upTo(QWEN3_5_LIMITS.headSize).optional(),
    linear_num_key_heads: upTo(QWEN3_5_LIMITS.heads),
    linear_num_value_heads: upTo(QWEN3_5_LIMITS.heads),
    linear_key_head_dim: upTo(QWEN3_5_LIMITS.headSize),
    linear_value_head_dim: upTo(QWEN3_5_LIMITS.headSize),
    linear_conv_kernel_dim: z.int().min(2).max(QWEN3_5_LIMITS.convolutionKernel).default(4),
    full_attention_interval: upTo(QWEN3_5_LIMITS.layers).default(4),
    layer_types: z.array(layerType).optional(),
    rms_norm_eps: z.number().positive().max(1),
    rope_parameters: rope,
    rope_scaling: ropeScaling.optional(),
    max_position_embeddings: upTo(QWEN3_5_LIMITS.contextLength),
    tie_word_embeddings: z.boolean().default(false),
    hidden_act: z.literal('silu').default('silu'),
    attention_bias: z.literal(false).default(false),
    attn_output_gate: z.literal(true).default(true),
    num_experts: z.literal(0).optional(),
  })
  .superRefine((value, context) => {
    const fail = (key: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [key], message });
    };
    if (value.num_attention_heads % value.num_key_value_heads !== 0) {
      fail('num_key_value_heads', 'must divide num_attention_heads');
    }
    if (value.linear_num_value_heads % value.linear_num_key_heads !== 0) {
      fail('linear_num_key_heads', 'must divide linear_num_value_heads');
    }
    if (value.layer_types !== undefined && value.layer_types.length !== value.num_hidden_layers) {
      fail('layer_types', `must have num_hidden_layers (${value.num_hidden_layers}) entries`);
    }
    if (!layerTypesOf(value).includes('linear_attention')) {
      fail('layer_types', 'must have a linear_attention layer, which tells the layout of weights');
    }
    const { size, headSize } = rotaryOf(value);
    if (size < 2 || size % 2 !== 0) {
      fail(
        'rope_parameters',
        `partial_rotary_factor of head_dim ${headSize} gives ${size}, not even`,
      );
    }
  });

export type LayerType = z.infer<typeof layerType>;

/** The language part of a Qwen3.5 configuration. Sizes are in elements, lengths in tokens. */
export interface Qwen35Config {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layerTypes: readonly LayerType[];
  readonly normEpsilon: number;
  readonly tied: boolean;
  readonly contextLength: number;
  readonly attention: {
    readonly heads: number;
    readonly keyValueHeads: number;
    readonly headSize: number;
    /** Leading elements of each head that are rotated. */
    readonly rotarySize: number;
    readonly ropeTheta: number;
  };
  readonly gatedDelta: {
    readonly keyHeads: number;
    readonly valueHeads: number;
    readonly keySize: number;
    readonly valueSize: number;
    readonly kernel: number;
  };
}

/**
 * Parses a flattened configuration of model_type qwen3_5. Keys it does not know are left alone:
 * published configurations carry many that a language model does not need.
 * @throws model_invalid naming every key at fault
 */
export function parseQwen35Config(flat: Record<string, unknown>): Qwen35Config {
  const value = parseConfig(schema, withRopeParameters(flat));
  const rotary = rotaryOf(value);
  return {
    vocabSize: value.vocab_size,
    hiddenSize: value.hidden_size,
    intermediateSize: value.intermediate_size,
    layerTypes: layerTypesOf(value),
    normEpsilon: value.rms_norm_eps,
    tied: value.tie_word_embeddings,
    contextLength: value.max_position_embeddings,
    attention: {
      heads: value.num_attention_heads,
      keyValueHeads: value.num_key_value_heads,
      headSize: rotary.headSize,
      rotarySize: rotary.size,
      ropeTheta: value.rope_parameters.theta,
    },
    gatedDelta: {
      keyHeads: value.linear_num_key_heads,
      valueHeads: value.linear_num_value_heads,
      keySize: value.linear_key_head_dim,
      valueSize: value.linear_value_head_dim,
      kernel: value.linear_conv_kernel_dim,
    },
  };
}

/** Older configurations hold the rotary settings beside the rest. */
function withRopeParameters(flat: Record<string, unknown>): Record<string, unknown> {
  if (flat['rope_parameters'] !== undefined) return flat;
  const { rope_theta, partial_rotary_factor } = flat;
  return { ...flat, rope_parameters: { rope_theta, partial_rotary_factor } };
}

function layerTypesOf(value: {
  layer_types?: LayerType[] | undefined;
  num_hidden_layers: number;
  full_attention_interval: number;
}): LayerType[] {
  return (
    value.layer_types ??
    Array.from({ length: value.num_hidden_layers }, (_, index) =>
      (index + 1) % value.full_attention_interval === 0 ? 'full_attention' : 'linear_attention',
    )
  );
}

function rotaryOf(value: {
  head_dim?: number | undefined;
  hidden_size: number;
  num_attention_heads: number;
  rope_parameters: { factor: number };
}): { headSize: number; size: number } {
  const headSize = value.head_dim ?? Math.floor(value.hidden_size / value.num_attention_heads);
  return { headSize, size: Math.floor(headSize * value.rope_parameters.factor) };
}
