import koffi from 'koffi';

/** A handle of the C library: below 2^53, so a plain number. */
export type Handle = number;

export interface ContextOptionsStruct {
  threads: number;
  mode: number;
  isa: string | null;
  limits: LimitsStruct;
}

export interface LimitsStruct {
  cache_bytes: number;
  memory_bytes: number;
  wired_bytes: number;
}

export interface GatedDeltaStruct {
  mixed: number;
  a: number;
  b: number;
  dst: number;
  a_log: Handle;
  dt_bias: Handle;
  key_heads: number;
  value_heads: number;
  key_dim: number;
  value_dim: number;
  norm_eps: number;
}

export interface AttentionStruct {
  q: number;
  k: number;
  v: number;
  dst: number;
  q_norm: Handle;
  k_norm: Handle;
  heads: number;
  kv_heads: number;
  head_dim: number;
  rope_dims: number;
  gated: number;
  norm_eps: number;
  scale: number;
  rope_theta: number;
}

export interface SamplingStruct {
  temperature: number;
  top_p: number;
  min_p: number;
  top_k: number;
  repetition_penalty: number;
  presence_penalty: number;
  frequency_penalty: number;
  prompt_count: number;
  history_count: number;
  bias_count: number;
  mask_words: number;
  top_logprobs: number;
  seed: number | bigint;
  counter: number | bigint;
}

const LIMITS = koffi.struct({
  cache_bytes: 'uint64_t',
  memory_bytes: 'uint64_t',
  wired_bytes: 'uint64_t',
});

/** Layouts of the structs of sanctum.h, by C name. */
export const STRUCTS = {
  sk_context_options: koffi.struct({
    threads: 'uint32_t',
    mode: 'int32_t',
    isa: 'const char *',
    limits: LIMITS,
  }),
  sk_limits: LIMITS,
  sk_program_options: koffi.struct({
    max_step_tokens: 'uint32_t',
    max_positions: 'uint32_t',
    kv: 'int32_t',
  }),
  sk_gated_delta: koffi.struct({
    mixed: 'uint32_t',
    a: 'uint32_t',
    b: 'uint32_t',
    dst: 'uint32_t',
    a_log: 'uint64_t',
    dt_bias: 'uint64_t',
    key_heads: 'uint32_t',
    value_heads: 'uint32_t',
    key_dim: 'uint32_t',
    value_dim: 'uint32_t',
    norm_eps: 'float',
  }),
  sk_attention: koffi.struct({
    q: 'uint32_t',
    k: 'uint32_t',
    v: 'uint32_t',
    dst: 'uint32_t',
    q_norm: 'uint64_t',
    k_norm: 'uint64_t',
    heads: 'uint32_t',
    kv_heads: 'uint32_t',
    head_dim: 'uint32_t',
    rope_dims: 'uint32_t',
    gated: 'uint32_t',
    norm_eps: 'float',
    scale: 'float',
    rope_theta: 'double',
  }),
  sk_sampling: koffi.struct({
    temperature: 'float',
    top_p: 'float',
    min_p: 'float',
    top_k: 'uint32_t',
    repetition_penalty: 'float',
    presence_penalty: 'float',
    frequency_penalty: 'float',
    prompt_count: 'uint32_t',
    history_count: 'uint32_t',
    bias_count: 'uint32_t',
    mask_words: 'uint32_t',
    top_logprobs: 'uint32_t',
    seed: 'uint64_t',
    counter: 'uint64_t',
  }),
} as const;
