/* The C ABI between Sanctum's inference code and a compute library.
 *
 * Rules
 * - Every function returns sk_status; 0 is success. sk_last_error() says why the last call of the
 *   calling thread failed.
 * - Handles are numbers below 2^53 with a generation: a freed, foreign or made-up handle is refused
 *   with SK_INVALID_HANDLE. 0 is never a handle.
 * - No call crashes on bad arguments. Pointers must be null or readable/writable for the length
 *   that goes with them; everything else is checked.
 * - Freeing an object that others still use is safe: they keep what they need alive. Freeing a
 *   context frees all that was made from it.
 * - A failed sk_step leaves every sequence as it was.
 */
#ifndef SANCTUM_H
#define SANCTUM_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define SK_API
#else
#define SK_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SK_ABI_VERSION 1

typedef int32_t sk_status;
typedef uint64_t sk_handle;
typedef uint32_t sk_register;

enum {
  SK_OK = 0,
  SK_INVALID_ARGUMENT = 1,
  SK_INVALID_HANDLE = 2,
  SK_OUT_OF_MEMORY = 3, /* a configured limit or the machine's memory is exhausted */
  SK_LIMIT = 4,         /* one of SK_MAX_* is exceeded */
  SK_UNSUPPORTED = 5,   /* e.g. an instruction set this machine lacks */
  SK_STATE = 6,         /* the object is not in a state that allows the call */
  SK_IO = 7,
  SK_NOT_FINITE = 8, /* NaN where a number is needed, e.g. logits to sample from */
  SK_INTERNAL = 9
};

enum { SK_DTYPE_F32 = 1, SK_DTYPE_F16 = 2, SK_DTYPE_BF16 = 3, SK_DTYPE_U32 = 4 };
enum { SK_MODE_EXACT = 1, SK_MODE_FAST = 2 };
enum { SK_KV_DEFAULT = 0, SK_KV_F32 = 1, SK_KV_F16 = 2 }; /* default: f32 in exact, f16 in fast */
enum { SK_LOGITS_NONE = 0, SK_LOGITS_LAST = 1, SK_LOGITS_ALL = 2 };

enum {
  SK_MAX_THREADS = 256,
  SK_MAX_CONTEXTS = 64,
  SK_MAX_HANDLES = 1 << 20,
  SK_MAX_RANK = 4,
  SK_MAX_DIM = 1 << 24,   /* elements of one dimension */
  SK_MAX_BUFFERS = 4096,  /* registers of one program */
  SK_MAX_OPS = 65536,     /* operations of one program */
  SK_MAX_HEAD_DIM = 1024, /* elements of one attention or gated-delta head */
  SK_MAX_HEADS = 1024,
  SK_MAX_CONV_KERNEL = 16,    /* taps of the causal convolution */
  SK_MAX_POSITIONS = 1 << 24, /* tokens of one sequence */
  SK_MAX_STEP_TOKENS = 65536, /* tokens of one step */
  SK_MAX_STEP_SPANS = 4096,   /* spans of one step */
  SK_MAX_STEP_LOGITS = 65536, /* logits rows of one step */
  SK_MAX_HISTORY = 1 << 24,   /* tokens given to the penalties */
  SK_MAX_LOGIT_BIAS = 65536,  /* entries of one logit_bias */
  SK_MAX_TOP_LOGPROBS = 20,
  SK_PAGE_TOKENS = 64 /* positions of one page of the key/value cache */
};

/* Byte limits; 0 means none. */
typedef struct sk_limits {
  uint64_t cache_bytes;  /* key/value pages, recurrent and convolution state, spare pages */
  uint64_t memory_bytes; /* everything this library allocates, the cache included */
  uint64_t wired_bytes;  /* mapped weights locked into memory, as far as the system permits */
} sk_limits;

typedef struct sk_context_options {
  uint32_t threads; /* 1..SK_MAX_THREADS; 0: one per available core */
  int32_t mode;     /* SK_MODE_* */
  const char* isa;  /* null: environment SANCTUM_ISA, else the best this machine has */
  sk_limits limits;
} sk_context_options;

typedef struct sk_stats {
  uint64_t memory_bytes;
  uint64_t memory_peak_bytes;
  uint64_t cache_bytes;       /* in use and spare */
  uint64_t cache_spare_bytes; /* pages kept for reuse */
  uint64_t scratch_bytes;
  uint64_t mapped_bytes;
  uint64_t wired_bytes;
  uint64_t sequences;
  uint64_t pages; /* in use */
  uint64_t steps;
  uint64_t tokens;
} sk_stats;

/* --- library and context ------------------------------------------------------------------- */
SK_API uint32_t sk_abi_version(void);
/* Message of the last failure on this thread; valid until its next call into the library. */
SK_API const char* sk_last_error(void);
/* JSON {name, version, abi, isa, isas[]}, NUL-terminated; isa is what a context would choose. */
SK_API sk_status sk_library_info(char* json, size_t capacity);
SK_API sk_status sk_context_create(const sk_context_options* options, sk_handle* context);
SK_API sk_status sk_context_free(sk_handle context);
/* Replaces the limits; spare pages are dropped to fit, live ones never. */
SK_API sk_status sk_context_limits(sk_handle context, const sk_limits* limits);
SK_API sk_status sk_context_stats(sk_handle context, sk_stats* stats);
/* Name of the instruction set in use. */
SK_API sk_status sk_context_isa(sk_handle context, char* name, size_t capacity);
/* Returns spare pages and scratch memory to the system. */
SK_API sk_status sk_context_clear_cache(sk_handle context);

/* --- data ---------------------------------------------------------------------------------- */
/* Maps the first `length` bytes of an open file read-only. The descriptor may be closed after. */
SK_API sk_status sk_map_file(sk_handle context, int32_t fd, uint64_t length, sk_handle* map);
SK_API sk_status sk_map_free(sk_handle map);
/* A tensor inside a map, at any byte offset; nothing is copied. */
SK_API sk_status sk_tensor_view(sk_handle context, sk_handle map, uint64_t offset, int32_t dtype,
                                uint32_t ndim, const uint64_t* shape, sk_handle* tensor);
/* A tensor with its own copy of `bytes` bytes of data. */
SK_API sk_status sk_tensor_create(sk_handle context, int32_t dtype, uint32_t ndim,
                                  const uint64_t* shape, const void* data, uint64_t bytes,
                                  sk_handle* tensor);
SK_API sk_status sk_tensor_free(sk_handle tensor);
/* [out, in] matrix of f32, f16 or bf16. */
SK_API sk_status sk_weight_dense(sk_handle context, sk_handle tensor, sk_handle* weight);
/* MLX affine layout: packed u32 [out, in*bits/32], scales and biases [out, in/group_size] of f32,
 * f16 or bf16; value = scale * q + bias; bits 2, 3, 4, 5, 6 or 8; group_size 32, 64 or 128. */
SK_API sk_status sk_weight_quantized(sk_handle context, sk_handle packed, sk_handle scales,
                                     sk_handle biases, uint32_t bits, uint32_t group_size,
                                     sk_handle* weight);
SK_API sk_status sk_weight_free(sk_handle weight);

/* --- programs ------------------------------------------------------------------------------ */
typedef struct sk_program_options {
  uint32_t max_step_tokens; /* 1..SK_MAX_STEP_TOKENS */
  uint32_t max_positions;   /* longest sequence, 1..SK_MAX_POSITIONS */
  int32_t kv;               /* SK_KV_* */
} sk_program_options;

SK_API sk_status sk_program_begin(sk_handle context, const sk_program_options* options,
                                  sk_handle* program);
/* A register: activations [tokens, dim] in f32. */
SK_API sk_status sk_program_buffer(sk_handle program, uint32_t dim, sk_register* reg);

/* dst[t] = row tokens[t] of the table [vocabulary, dim]. */
SK_API sk_status sk_op_embed(sk_handle program, sk_handle weight, sk_register dst);
/* dst = src / sqrt(mean(src^2) + eps) * weight, weight [dim]. */
SK_API sk_status sk_op_rms_norm(sk_handle program, sk_register src, sk_handle weight, float eps,
                                sk_register dst);
/* residual += delta; dst = rms_norm(residual). */
SK_API sk_status sk_op_add_rms_norm(sk_handle program, sk_register residual, sk_register delta,
                                    sk_handle weight, float eps, sk_register dst);
/* dst = src * weight^T (+ bias [out]); bias 0: none. */
SK_API sk_status sk_op_linear(sk_handle program, sk_handle weight, sk_handle bias, sk_register src,
                              sk_register dst);
/* dst = silu(gate) * up. */
SK_API sk_status sk_op_silu_mul(sk_handle program, sk_register gate, sk_register up,
                                sk_register dst);
/* Causal depthwise convolution over time with its own state, then silu. weight holds dim*taps
 * values, channel-major: [dim, taps], [dim, taps, 1] or [dim, 1, taps]. */
SK_API sk_status sk_op_conv1d_silu(sk_handle program, sk_register src, sk_handle weight,
                                   uint32_t taps, sk_register dst);

/* Gated delta rule with its own recurrent state [value_heads, value_dim, key_dim].
 * mixed [2*key_heads*key_dim + value_heads*value_dim] = q | k | v after the convolution.
 * q and k: x / sqrt(sum(x^2) + norm_eps), q also * key_dim^-0.5 (Qwen3.5: RMS norm without weight,
 * scaled by key_dim^-1 and key_dim^-0.5). Per value head, with h' = h * key_heads / value_heads:
 * g = exp(-exp(a_log) * softplus(a + dt_bias)); beta = sigmoid(b);
 * S = g*S; S += outer((v - S k) * beta, k); dst = S q. Published: arXiv 2412.06464. */
typedef struct sk_gated_delta {
  sk_register mixed;
  sk_register a;     /* [value_heads] */
  sk_register b;     /* [value_heads] */
  sk_register dst;   /* [value_heads*value_dim] */
  sk_handle a_log;   /* tensor [value_heads] */
  sk_handle dt_bias; /* tensor [value_heads] */
  uint32_t key_heads;
  uint32_t value_heads; /* a multiple of key_heads */
  uint32_t key_dim;
  uint32_t value_dim;
  float norm_eps; /* 1e-6 in Qwen3.5 */
} sk_gated_delta;
SK_API sk_status sk_op_gated_delta(sk_handle program, const sk_gated_delta* desc);

/* Per group of dim(weight): dst = rms_norm(src) * weight * silu(gate). */
SK_API sk_status sk_op_rms_norm_gated(sk_handle program, sk_register src, sk_register gate,
                                      sk_handle weight, float eps, sk_register dst);

/* Causal grouped-query attention over its own paged cache.
 * q [heads * head_dim * (gated ? 2 : 1)], per head q | gate when gated; k, v [kv_heads*head_dim].
 * q and k are RMS-normalised per head (weights [head_dim], 0: no norm), then the first rope_dims
 * elements are rotated as two halves; dst = softmax(scale * q k^T) v, times sigmoid(gate). */
typedef struct sk_attention {
  sk_register q;
  sk_register k;
  sk_register v;
  sk_register dst;
  sk_handle q_norm;
  sk_handle k_norm;
  uint32_t heads; /* a multiple of kv_heads */
  uint32_t kv_heads;
  uint32_t head_dim;
  uint32_t rope_dims; /* even, 0..head_dim */
  uint32_t gated;     /* 0 or 1 */
  float norm_eps;
  float scale;
  double rope_theta;
} sk_attention;
SK_API sk_status sk_op_attention(sk_handle program, const sk_attention* desc);

/* Logits of the wanted rows: the last operation of a program; once. */
SK_API sk_status sk_op_logits(sk_handle program, sk_handle weight, sk_register src);
/* Checks the recording (registers written before they are read, logits present), plans memory. */
SK_API sk_status sk_program_end(sk_handle program);
SK_API sk_status sk_program_free(sk_handle program);

/* --- sequences ----------------------------------------------------------------------------- */
SK_API sk_status sk_sequence_create(sk_handle program, sk_handle* sequence);
/* Shares pages copy-on-write and copies the state. */
SK_API sk_status sk_sequence_fork(sk_handle sequence, sk_handle* fork);
SK_API sk_status sk_sequence_length(sk_handle sequence, uint64_t* tokens);
SK_API sk_status sk_sequence_free(sk_handle sequence);

/* --- running ------------------------------------------------------------------------------- */
typedef struct sk_span {
  sk_handle sequence;
  uint32_t first;  /* index of the span's first token in tokens[] */
  uint32_t count;  /* at least 1 */
  int32_t logits;  /* SK_LOGITS_* */
  uint32_t unused; /* 0 */
} sk_span;

/* Appends each span's tokens to its sequence. Spans are in order, cover tokens[] exactly, and name
 * each sequence at most once. Logits rows are numbered in span order, within `all` in token order.
 */
SK_API sk_status sk_step(sk_handle program, const int32_t* tokens, uint32_t token_count,
                         const sk_span* spans, uint32_t span_count);
/* Rows of the last step. */
SK_API sk_status sk_logits_rows(sk_handle program, uint32_t* rows);
/* Copies row `row` of the last step; capacity in floats, at least the vocabulary. */
SK_API sk_status sk_logits(sk_handle program, uint32_t row, float* logits, uint32_t capacity);

/* Order: token_mask, repetition/presence/frequency penalties, logit_bias, top_k, top_p, min_p,
 * temperature, draw. temperature 0 takes the largest, the lowest token on a tie. */
typedef struct sk_sampling {
  float temperature;        /* 0..100 */
  float top_p;              /* (0, 1]; 1: off */
  float min_p;              /* [0, 1]; 0: off */
  uint32_t top_k;           /* 0: off */
  float repetition_penalty; /* > 0; 1: off; over all of history */
  float presence_penalty;   /* 0: off; over history from prompt_count on */
  float frequency_penalty;  /* 0: off; over history from prompt_count on */
  uint32_t prompt_count;    /* how many of history are the prompt */
  uint32_t history_count;
  uint32_t bias_count;
  uint32_t mask_words;   /* 0, or words of 32 tokens that cover the vocabulary */
  uint32_t top_logprobs; /* 0..SK_MAX_TOP_LOGPROBS */
  uint64_t seed;
  uint64_t counter; /* position of the draw in the request; (seed, counter) fixes the draw */
} sk_sampling;

typedef struct sk_sampled {
  int32_t token;
  float logprob; /* natural log, of the model's own distribution: no penalty, no temperature */
  uint32_t top_count;
  int32_t top_tokens[SK_MAX_TOP_LOGPROBS]; /* most likely first */
  float top_logprobs[SK_MAX_TOP_LOGPROBS];
} sk_sampled;

SK_API sk_status sk_sample(sk_handle program, uint32_t row, const sk_sampling* sampling,
                           const int32_t* history, const int32_t* bias_tokens,
                           const float* bias_values, const uint32_t* token_mask,
                           sk_sampled* sampled);

/* --- quantisation -------------------------------------------------------------------------- */
/* MLX affine quantisation of f32 values [rows, cols] into packed words, f32 scales and biases. */
SK_API sk_status sk_quantize(const float* values, uint64_t rows, uint64_t cols, uint32_t bits,
                             uint32_t group_size, uint32_t* packed, float* scales, float* biases);
/* Copies a weight's values as f32 [out, in]; capacity in floats. */
SK_API sk_status sk_weight_dequantize(sk_handle weight, float* values, uint64_t capacity);

#ifdef __cplusplus
}
#endif
#endif
