// Attention over pages of keys and values, and the gated delta scan.
#pragma once
#include "isa/delta_tile.hpp"
#include "isa/lanes.hpp"
#include "isa/norm_ops.hpp"

namespace sk::SK_ISA {

// RMS norm of a head, then the rotation of its first rope_dims elements as two halves.
static void head_norm_rope(const HeadNorm& head) {
  if (head.weight != nullptr) {
    rms_norm(head.src, head.weight, head.eps, head.dst, head.dim);
  } else {
    memcpy(head.dst, head.src, head.dim * sizeof(float));
  }
  const uint32_t half = head.rope_dims / 2;
  float* first = head.dst;
  float* second = head.dst + half;
  for (uint32_t i = 0; i < half; i += 16) {
    const uint32_t n = half - i;
    const V a = load_n(first + i, n), b = load_n(second + i, n);
    const V c = load_n(head.cosine + i, n), s = load_n(head.sine + i, n);
    store_n(first + i, a * c - b * s, n);
    store_n(second + i, b * c + a * s, n);
  }
}

static void store_half(const float* src, uint16_t* dst, uint32_t count) {
  uint32_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16)
    _mm256_storeu_si256((__m256i*)(dst + i), _mm512_cvtps_ph(_mm512_loadu_ps(src + i), 0));
#elif defined(__F16C__)
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128((__m128i*)(dst + i), _mm256_cvtps_ph(_mm256_loadu_ps(src + i), 0));
#elif defined(SK_NEON_DOTPROD)
  for (; i + 4 <= count; i += 4)
    vst1_u16(dst + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(src + i))));
#endif
  for (; i < count; ++i) dst[i] = float_to_half(src[i]);
}

template <bool Half>
SK_INLINE V load_cached(const uint8_t* base, uint64_t index, uint32_t n) {
  if constexpr (Half) return load_half_n((const uint16_t*)base + index, n);
  return load_n((const float*)base + index, n);
}

// scores[r][j] = scale * (q[r] . key[j]) for Rows query heads.
template <int Rows, bool Half>
static void attention_scores(const AttentionRows& a, const float* q, uint32_t padded) {
  for (uint32_t j = 0; j < a.length; ++j) {
    const uint8_t* page = a.key_pages[j / a.page_tokens] + a.head_offset;
    const uint64_t at = (uint64_t)(j % a.page_tokens) * a.dim;
    V acc[Rows];
    for (int r = 0; r < Rows; ++r) acc[r] = zero();
    for (uint32_t i = 0; i < a.dim; i += 16) {
      const V key = load_cached<Half>(page, at + i, a.dim - i);
      for (int r = 0; r < Rows; ++r)
        acc[r] = acc[r] + load_n(q + (uint64_t)r * a.dim + i, a.dim - i) * key;
    }
    for (int r = 0; r < Rows; ++r) a.scores[(uint64_t)r * padded + j] = sum(acc[r]) * a.scale;
  }
}

static float softmax_row(float* scores, uint32_t length, uint32_t padded) {
  const float lowest = -__builtin_inff();
  for (uint32_t j = length; j < padded; ++j) scores[j] = lowest;
  V top = splat(lowest);
  for (uint32_t j = 0; j < padded; j += 16) top = max(top, load(scores + j));
  const V shift = splat(largest(top));
  V total = zero();
  for (uint32_t j = 0; j < padded; j += 16) {
    const V e = exp(load(scores + j) - shift);
    store(scores + j, e);
    total = total + e;
  }
  return 1.0f / sum(total);
}

// Columns [column, column + 16 * Blocks) of the weighted sum of values, positions in order.
template <int Rows, int Blocks, bool Half>
static void attention_values(const AttentionRows& a, uint32_t first, uint32_t column,
                             const float* inverse) {
  const uint32_t padded = (a.length + 15) & ~15u;
  V acc[Rows][Blocks];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) acc[r][b] = zero();
  for (uint32_t j = 0; j < a.length; ++j) {
    const uint8_t* page = a.key_pages[j / a.page_tokens] + a.value_offset;
    const uint64_t at = (uint64_t)(j % a.page_tokens) * a.dim + column;
    V value[Blocks];
    for (int b = 0; b < Blocks; ++b)
      value[b] = load_cached<Half>(page, at + 16 * b, a.dim - column - 16 * b);
    for (int r = 0; r < Rows; ++r) {
      const V p = splat(a.scores[(uint64_t)r * padded + j]);
      for (int b = 0; b < Blocks; ++b) acc[r][b] = acc[r][b] + p * value[b];
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int b = 0; b < Blocks; ++b) {
      const uint32_t at = column + 16 * b, n = a.dim - at;
      V out = acc[r][b] * splat(inverse[r]);
      if (a.gate != nullptr) {
        const float* gate = a.gate + (uint64_t)(first + r) * a.gate_stride;
        out = out * sigmoid(load_n(gate + at, n));
      }
      store_n(a.dst + (uint64_t)(first + r) * a.dim + at, out, n);
    }
  }
}

template <int Rows, bool Half>
static void attention_tile(const AttentionRows& a, uint32_t first) {
  const uint32_t padded = (a.length + 15) & ~15u;
  attention_scores<Rows, Half>(a, a.q + (uint64_t)first * a.dim, padded);
  float inverse[Rows];
  for (int r = 0; r < Rows; ++r)
    inverse[r] = softmax_row(a.scores + (uint64_t)r * padded, a.length, padded);
  uint32_t column = 0;
  if constexpr (SK_PARTS == 1) {
    for (; column + 64 <= a.dim; column += 64)
      attention_values<Rows, 4, Half>(a, first, column, inverse);
  }
  for (; column < a.dim; column += 16) attention_values<Rows, 1, Half>(a, first, column, inverse);
}

template <bool Half>
static void attention_rows(const AttentionRows& a) {
  uint32_t first = 0;
  for (; first + 4 <= a.rows; first += 4) attention_tile<4, Half>(a, first);
  for (; first + 2 <= a.rows; first += 2) attention_tile<2, Half>(a, first);
  for (; first < a.rows; ++first) attention_tile<1, Half>(a, first);
}

static void attention(const AttentionRows& a) {
  if (a.half) return attention_rows<true>(a);
  attention_rows<false>(a);
}

// One value row through all tokens. The state row stays in registers when key_dim is Chunks * 16.
template <int Rows, int Chunks>
static void delta_rows_fixed(const DeltaScan& s, uint32_t row) {
  V state[Rows][Chunks];
  for (int r = 0; r < Rows; ++r)
    for (int c = 0; c < Chunks; ++c)
      state[r][c] = load(s.state + (uint64_t)(row + r) * s.key_dim + 16 * c);
  for (uint32_t t = 0; t < s.count; ++t) {
    const float* q = s.q + (uint64_t)t * s.qk_stride;
    const float* k = s.k + (uint64_t)t * s.qk_stride;
    const V decay = splat(s.decay[(uint64_t)t * s.gate_stride]);
    const float beta = s.beta[(uint64_t)t * s.gate_stride];
    for (int r = 0; r < Rows; ++r) {
      V memory[4] = {zero(), zero(), zero(), zero()};
      V read[4] = {zero(), zero(), zero(), zero()};
      for (int c = 0; c < Chunks; ++c) {
        state[r][c] = state[r][c] * decay;
        memory[c % 4] = memory[c % 4] + state[r][c] * load(k + 16 * c);
      }
      const float held = sum((memory[0] + memory[1]) + (memory[2] + memory[3]));
      const V delta = splat((s.v[(uint64_t)t * s.v_stride + row + r] - held) * beta);
      for (int c = 0; c < Chunks; ++c) {
        state[r][c] = state[r][c] + load(k + 16 * c) * delta;
        read[c % 4] = read[c % 4] + state[r][c] * load(q + 16 * c);
      }
      s.dst[(uint64_t)t * s.dst_stride + row + r] = sum((read[0] + read[1]) + (read[2] + read[3]));
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int c = 0; c < Chunks; ++c)
      store(s.state + (uint64_t)(row + r) * s.key_dim + 16 * c, state[r][c]);
}

// The same arithmetic for any key_dim, the state row in memory.
static void delta_row(const DeltaScan& s, uint32_t row) {
  float* state = s.state + (uint64_t)row * s.key_dim;
  for (uint32_t t = 0; t < s.count; ++t) {
    const float* q = s.q + (uint64_t)t * s.qk_stride;
    const float* k = s.k + (uint64_t)t * s.qk_stride;
    const V decay = splat(s.decay[(uint64_t)t * s.gate_stride]);
    for (uint32_t i = 0; i < s.key_dim; i += 16) {
      const uint32_t n = s.key_dim - i;
      store_n(state + i, load_n(state + i, n) * decay, n);
    }
    const float held = dot(state, k, s.key_dim);
    const float beta = s.beta[(uint64_t)t * s.gate_stride];
    const V delta = splat((s.v[(uint64_t)t * s.v_stride + row] - held) * beta);
    for (uint32_t i = 0; i < s.key_dim; i += 16) {
      const uint32_t n = s.key_dim - i;
      store_n(state + i, load_n(state + i, n) + load_n(k + i, n) * delta, n);
    }
    s.dst[(uint64_t)t * s.dst_stride + row] = dot(state, q, s.key_dim);
  }
}

static void delta_scan(const DeltaScan& s) {
  uint32_t row = 0;
  if (s.key_dim == kTileKeys && s.count >= kTileMinTokens) {
    for (; row + kDeltaTileRows <= s.value_rows; row += kDeltaTileRows) delta_tile(s, row);
  }
  if (s.key_dim == 128) {
    constexpr int rows = SK_PARTS == 1 ? 2 : 1;
    for (; row + rows <= s.value_rows; row += rows) delta_rows_fixed<rows, 8>(s, row);
  }
  for (; row < s.value_rows; ++row) delta_row(s, row);
}

}  // namespace sk::SK_ISA
