// What an instruction set must provide. Plain data and function pointers only: the files that
// implement it are compiled with wider instruction sets than the rest of the library, so no inline
// function or template may be shared with them (the linker could keep the wider copy).
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace sk {

enum class FloatType : uint32_t { f32 = 1, f16 = 2, bf16 = 3 };

// Rows of a matrix [out, in] as they lie in memory, at any alignment.
struct MatrixRows {
  const uint8_t* data;  // dense values or packed integers
  const uint8_t* scales;
  const uint8_t* biases;
  uint64_t row_bytes;
  uint32_t out;
  uint32_t in;
  uint32_t bits;  // 0: dense
  uint32_t group_size;
  uint32_t groups;
  FloatType type;  // of dense values, or of scales and biases
};

// Activations quantised per group: x ~ d * q, and s = d * sum(q).
struct QuantizedRows {
  int8_t* q;        // [tokens, stride]
  float* d;         // [tokens, groups]
  float* s;         // [tokens, groups]
  uint32_t stride;  // bytes of a row of q: the width rounded up to 128
};

// Within each 128 elements, `split` holds the even ones before the odd ones: the order in which
// the low and the high nibbles of 4-bit weights come.
enum class QuantLayout : uint32_t { natural = 0, split = 1 };

struct FastLinear {
  MatrixRows weight;
  QuantizedRows input;
  const float* bias;  // [out] or null
  float* output;      // [tokens, out]
  uint32_t tokens;
};

struct ConvSpan {
  const float* src;     // [count, dim]
  float* dst;           // [count, dim]
  float* tail;          // [taps - 1, dim], the rows before src; replaced by the last rows
  const float* weight;  // [taps, dim]
  uint32_t count;
  uint32_t dim;
  uint32_t taps;
};

struct HeadNorm {
  const float* src;
  const float* weight;  // null: no norm
  const float* cosine;  // [rope_dims / 2]
  const float* sine;
  float* dst;
  float eps;
  uint32_t dim;
  uint32_t rope_dims;
};

// Query heads of one token that share one key/value head.
struct AttentionRows {
  const float* q;     // [rows, dim]
  const float* gate;  // row r at gate + r * gate_stride; null: ungated
  float* dst;         // [rows, dim]
  const uint8_t* const* key_pages;
  uint64_t head_offset;   // bytes from a page's start to this head's keys
  uint64_t value_offset;  // bytes from a page's start to this head's values
  float* scores;          // [4, length rounded up to 16]
  uint32_t rows;
  uint32_t gate_stride;
  uint32_t dim;
  uint32_t length;
  uint32_t page_tokens;
  bool half;  // keys and values are f16
  float scale;
};

struct DeltaScan {
  const float* q;  // [count, q_stride]
  const float* k;
  const float* v;
  const float* decay;  // [count, gate_stride]
  const float* beta;
  float* state;  // [value_rows, key_dim]
  float* dst;    // [count, dst_stride]
  uint32_t count;
  uint32_t qk_stride;
  uint32_t v_stride;
  uint32_t gate_stride;
  uint32_t dst_stride;
  uint32_t key_dim;
  uint32_t value_rows;
};

struct Kernels {
  const char* name;
  void (*rms_norm)(const float* src, const float* weight, float eps, float* dst, uint32_t dim);
  void (*add_rms_norm)(float* residual, const float* delta, const float* weight, float eps,
                       float* dst, uint32_t dim);
  void (*rms_norm_gated)(const float* src, const float* gate, const float* weight, float eps,
                         float* dst, uint32_t dim);
  void (*l2_norm)(const float* src, float eps, float scale, float* dst, uint32_t dim);
  void (*silu_mul)(const float* gate, const float* up, float* dst, uint64_t count);
  void (*add)(float* dst, const float* src, uint64_t count);
  // decay = exp(-a_scale * softplus(a + dt_bias)), beta = sigmoid(b).
  void (*delta_gates)(const float* a, const float* b, const float* a_scale, const float* dt_bias,
                      float* decay, float* beta, uint32_t heads);
  void (*delta_scan)(const DeltaScan& scan);
  void (*conv_silu)(const ConvSpan& span, uint32_t begin, uint32_t end);
  void (*head_norm_rope)(const HeadNorm& head);
  void (*store_half)(const float* src, uint16_t* dst, uint32_t count);
  void (*attention)(const AttentionRows& rows);

  // One row as f32.
  void (*load_row)(const MatrixRows& matrix, uint32_t row, float* dst);
  // y[t * y_stride + r] = dot(w + r * dim, x + t * dim) (+ bias[r]).
  void (*matmul)(const float* w, uint32_t rows, const float* x, uint32_t tokens, uint32_t dim,
                 const float* bias, float* y, uint64_t y_stride);

  void (*quantize_row)(const float* x, uint32_t dim, uint32_t group_size, QuantLayout layout,
                       int8_t* q, uint32_t stride, float* d, float* s);
  uint32_t (*fast_tasks)(const FastLinear& job);
  void (*fast_task)(const FastLinear& job, uint32_t task, uint8_t* scratch);
  uint64_t (*fast_scratch_bytes)(const MatrixRows& weight);

  float (*row_max)(const float* x, uint64_t count);
  // dst = exp((x - shift) * scale); returns the sum in lane order.
  float (*exp_row)(const float* x, float shift, float scale, float* dst, uint64_t count);
  float (*sum_exp)(const float* x, float shift, uint64_t count);
  void (*exp_values)(const float* x, float* dst, uint64_t count);
};

const Kernels* kernels_portable();
const Kernels* kernels_avx2();
const Kernels* kernels_avx512();
const Kernels* kernels_amx();
const Kernels* kernels_amx_avx2();  // emulated, in tests
const Kernels* kernels_neon();
const Kernels* kernels_neon_dotprod();

}  // namespace sk
