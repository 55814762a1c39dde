// Prefill with NEON: 16 rows are unpacked so that 64 bytes hold four elements of each row, then
// multiplied by four tokens at a time from registers.
#pragma once
#include "isa/fast_neon.hpp"
#include "isa/pack_panels.hpp"

namespace sk::SK_ISA {

// Rows [quad, quad + 4) of a panel.
static void pack_quad(const MatrixRows& w, uint32_t row, uint32_t rows, uint32_t quad,
                      uint8_t* dst) {
  const bool nibbles = w.bits == 4;
  const uint32_t words = nibbles ? w.in / 8 : w.in / 4, group_words = w.group_size / 8;
  for (uint32_t first = 0; first < words; first += 4) {
    uint32x4_t lines[4];
    for (uint32_t r = 0; r < 4; ++r) {
      lines[r] = vdupq_n_u32(0);
      if (quad + r >= rows) continue;
      const uint8_t* line = w.data + (uint64_t)(row + quad + r) * w.row_bytes;
      if (nibbles || w.bits == 8) {
        lines[r] = vreinterpretq_u32_u8(vld1q_u8(line + (uint64_t)first * 4));
      } else {
        uint8_t plain[16];
        unpack_row(line + (uint64_t)first / 2 * w.bits, w.bits, plain, 16);
        lines[r] = vreinterpretq_u32_u8(vld1q_u8(plain));
      }
    }
    transpose4(lines);
    for (uint32_t i = 0; i < 4; ++i) {
      const uint8x16_t line = vreinterpretq_u8_u32(lines[i]);
      if (!nibbles) {
        vst1q_s8((int8_t*)dst + (uint64_t)(first + i) * 64 + 4 * quad, lowered(line));
        continue;
      }
      const uint32_t group = (first + i) / group_words, word = (first + i) % group_words;
      int8_t* even = (int8_t*)dst + ((uint64_t)group * 2 * group_words + word) * 64 + 4 * quad;
      vst1q_s8(even, low_nibbles(line));
      vst1q_s8(even + (uint64_t)group_words * 64, high_nibbles(line));
    }
  }
}

// Values are lowered by 128 unless they are nibbles.
static void pack_values(const MatrixRows& w, uint32_t row, uint32_t rows, uint8_t* dst) {
  for (uint32_t quad = 0; quad < 16; quad += 4) pack_quad(w, row, rows, quad, dst);
}

static void pack_scales(const MatrixRows& w, const uint8_t* base, uint32_t row, uint32_t rows,
                        float* dst) {
  for (uint32_t quad = 0; quad < 16; quad += 4) {
    uint32_t from[4];  // past the end: any row, its results are dropped
    for (uint32_t r = 0; r < 4; ++r) from[r] = row + (quad + r < rows ? quad + r : 0);
    for (uint32_t g = 0; g < w.groups; g += 4) {
      const uint32_t count = w.groups - g < 4 ? w.groups - g : 4;
      float32x4_t columns[4];
      load_scale_columns(w, base, from, g, count, columns);
      for (uint32_t i = 0; i < count; ++i)
        vst1q_f32(dst + (uint64_t)(g + i) * 16 + quad, columns[i]);
    }
  }
}

// Per lane: four products with the activations 4 * Word .. 4 * Word + 3.
template <int Word>
SK_INLINE int32x4_t dot_word(int32x4_t acc, int8x16_t w, int8x16_t q) {
#if SK_NEON_DOTPROD
  return vdotq_laneq_s32(acc, w, q, Word);
#else
  const int8x16_t four = vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(q), Word));
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(four));
  const int16x8_t high = vmull_s8(vget_high_s8(w), vget_high_s8(four));
  return vpadalq_s16(acc, vpaddq_s16(low, high));  // <= 2 * 128 * 127
#endif
}

template <int Tokens, int Word>
SK_INLINE void multiply_word(int32x4_t (*acc)[4], const uint8_t* values, const int8x16_t* x) {
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    const int8x16_t w = vld1q_s8((const int8_t*)values + Word * 64 + r * 16);
#pragma GCC unroll 4
    for (int t = 0; t < Tokens; ++t) acc[t][r] = dot_word<Word>(acc[t][r], w, x[t]);
  }
}

template <int Tokens>
SK_INLINE void multiply_part(int32x4_t (*acc)[4], const uint8_t* values, const int8_t* q,
                             uint64_t stride, uint32_t count) {
  for (uint32_t k = 0; k < count; k += 16, values += 256) {
    int8x16_t x[Tokens];
#pragma GCC unroll 4
    for (int t = 0; t < Tokens; ++t) x[t] = vld1q_s8(q + (uint64_t)t * stride + k);
    multiply_word<Tokens, 0>(acc, values, x);
    multiply_word<Tokens, 1>(acc, values, x);
    multiply_word<Tokens, 2>(acc, values, x);
    multiply_word<Tokens, 3>(acc, values, x);
  }
}

// 128 times the sum of a group's activations, in all lanes.
SK_INLINE int32x4_t raised(const int8_t* q, uint32_t group_size) {
  int32x4_t total = vdupq_n_s32(0);
  for (uint32_t i = 0; i < group_size; i += 16)
    total = dot16(total, vdupq_n_s8(1), vld1q_s8(q + i));
  return vdupq_n_s32(vaddvq_s32(total) * 128);
}

// 16 rows by Tokens tokens, from token `first` on.
template <int Tokens>
static void multiply(const FastLinear& job, const Panel& panel, uint32_t first, uint32_t row,
                     uint32_t rows) {
  const MatrixRows& w = job.weight;
  const uint32_t half = w.group_size / 2;
  const uint32_t odd = w.bits == 4 ? kChunk / 2 : half;
  const QuantLayout layout = w.bits == 4 ? QuantLayout::split : QuantLayout::natural;
  const uint64_t stride = job.input.stride;
  float32x4_t total[Tokens][4] = {};
  for (uint32_t g = 0; g < w.groups; ++g) {
    const int8_t* in = job.input.q + first * stride + quant_position(g * w.group_size, layout);
    int32x4_t acc[Tokens][4];
    for (int t = 0; t < Tokens; ++t) {
      acc[t][0] = w.bits == 4 ? vdupq_n_s32(0) : raised(in + (uint64_t)t * stride, w.group_size);
      acc[t][1] = acc[t][2] = acc[t][3] = acc[t][0];
    }
    const uint8_t* values = panel.values + (uint64_t)g * w.group_size * 16;
    multiply_part<Tokens>(acc, values, in, stride, half);
    multiply_part<Tokens>(acc, values + (uint64_t)half * 16, in + odd, stride, half);
    const float* scale = panel.scales + (uint64_t)g * 16;
    const float* bias = panel.biases + (uint64_t)g * 16;
#pragma GCC unroll 4
    for (int t = 0; t < Tokens; ++t) {
      const uint64_t at = (uint64_t)(first + t) * w.groups + g;
      const float d = job.input.d[at], s = job.input.s[at];
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        const float32x4_t scaled =
            vmulq_f32(vmulq_n_f32(vld1q_f32(scale + 4 * r), d), vcvtq_f32_s32(acc[t][r]));
        const float32x4_t shifted = vmulq_n_f32(vld1q_f32(bias + 4 * r), s);
        total[t][r] = vaddq_f32(total[t][r], vaddq_f32(scaled, shifted));
      }
    }
  }
  for (int t = 0; t < Tokens; ++t) {
    float results[16];
    for (int r = 0; r < 4; ++r) vst1q_f32(results + 4 * r, total[t][r]);
    for (uint32_t r = 0; r < rows; ++r) put_result(job, first + t, row + r, results[r]);
  }
}

}  // namespace sk::SK_ISA
