// Prefill with AVX2: 16 rows are unpacked so that 64 bytes hold four elements of each row, then
// multiplied by four tokens at a time from registers.
#pragma once
#include "isa/fast_avx2.hpp"
#include "isa/pack_panels.hpp"

namespace sk::SK_ISA {

// Eight rows: lane halves [8 * half, 8 * half + 8) of every line of the panel.
static void pack_half(const MatrixRows& w, uint32_t row, uint32_t rows, uint8_t* dst) {
  const uint8_t* base = w.data + (uint64_t)row * w.row_bytes;
  const bool nibbles = w.bits == 4;
  const uint32_t words = nibbles ? w.in / 8 : w.in / 4, group_words = w.group_size / 8;
  for (uint32_t first = 0; first < words; first += 8) {
    const uint32_t count = words - first < 8 ? words - first : 8;
    __m256i lines[8];
    for (uint32_t r = 0; r < 8; ++r) {
      lines[r] = _mm256_setzero_si256();
      if (r >= rows) continue;
      const uint8_t* line = base + (uint64_t)r * w.row_bytes;
      if (nibbles || w.bits == 8) {
        lines[r] = load_bytes(line + (uint64_t)first * 4, count * 4);
      } else {
        uint8_t plain[32] = {};
        unpack_row(line + (uint64_t)first * 4 / 8 * w.bits, w.bits, plain, count * 4);
        lines[r] = load_bytes(plain, 32);
      }
    }
    transpose8(lines);
    for (uint32_t i = 0; i < count; ++i) {
      if (!nibbles) {
        _mm256_storeu_si256((__m256i*)(dst + (uint64_t)(first + i) * 64), lines[i]);
        continue;
      }
      const uint32_t group = (first + i) / group_words, word = (first + i) % group_words;
      uint8_t* even = dst + ((uint64_t)group * 2 * group_words + word) * 64;
      _mm256_storeu_si256((__m256i*)even, low_nibbles(lines[i]));
      _mm256_storeu_si256((__m256i*)(even + (uint64_t)group_words * 64), high_nibbles(lines[i]));
    }
  }
}

static void pack_values(const MatrixRows& w, uint32_t row, uint32_t rows, uint8_t* dst) {
  pack_half(w, row, rows, dst);
  pack_half(w, row + 8, rows > 8 ? rows - 8 : 0, dst + 32);
}

static void pack_scales(const MatrixRows& w, const uint8_t* base, uint32_t row, uint32_t rows,
                        float* dst) {
  for (uint32_t half = 0; half < 16; half += 8) {
    for (uint32_t g = 0; g < w.groups; g += 8) {
      const uint32_t count = w.groups - g < 8 ? w.groups - g : 8;
      __m256i lines[8];
      for (uint32_t r = 0; r < 8; ++r)
        lines[r] = half + r < rows
                       ? _mm256_castps_si256(load_scales(
                             base, (uint64_t)(row + half + r) * w.groups + g, count, w.type))
                       : _mm256_setzero_si256();
      transpose8(lines);
      for (uint32_t i = 0; i < count; ++i)
        _mm256_storeu_si256((__m256i*)(dst + (uint64_t)(g + i) * 16 + half), lines[i]);
    }
  }
}

// How many products per 16-bit lane may be added before it could overflow; 0: not even one.
SK_INLINE uint32_t safe_steps(uint32_t bits) {
  return bits <= 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 0;
}

template <int Tokens>
SK_INLINE void multiply_group(__m256i (*acc)[2], const uint8_t* values, const int8_t* q,
                              uint64_t stride, uint32_t steps, uint32_t safe) {
  if (safe == 0) {
    for (uint32_t k = 0; k < steps; ++k)
      for (int t = 0; t < Tokens; ++t) {
        int32_t four;
        memcpy(&four, q + (uint64_t)t * stride + 4 * k, 4);
        for (int h = 0; h < 2; ++h) {
          const __m256i w = _mm256_loadu_si256((const __m256i*)(values + k * 64 + h * 32));
          acc[t][h] = _mm256_add_epi32(acc[t][h], dot_bytes(w, _mm256_set1_epi32(four)));
        }
      }
    return;
  }
  for (uint32_t first = 0; first < steps; first += safe) {
    const uint32_t end = first + safe < steps ? first + safe : steps;
    __m256i pairs[Tokens][2];
    for (int t = 0; t < Tokens; ++t) pairs[t][0] = pairs[t][1] = _mm256_setzero_si256();
    for (uint32_t k = first; k < end; ++k) {
      const __m256i a = _mm256_loadu_si256((const __m256i*)(values + k * 64));
      const __m256i b = _mm256_loadu_si256((const __m256i*)(values + k * 64 + 32));
#pragma GCC unroll 4
      for (int t = 0; t < Tokens; ++t) {
        int32_t four;
        memcpy(&four, q + (uint64_t)t * stride + 4 * k, 4);
        const __m256i x = _mm256_set1_epi32(four);
        pairs[t][0] = _mm256_add_epi16(pairs[t][0], _mm256_maddubs_epi16(a, x));
        pairs[t][1] = _mm256_add_epi16(pairs[t][1], _mm256_maddubs_epi16(b, x));
      }
    }
    for (int t = 0; t < Tokens; ++t)
      for (int h = 0; h < 2; ++h)
        acc[t][h] =
            _mm256_add_epi32(acc[t][h], _mm256_madd_epi16(pairs[t][h], _mm256_set1_epi16(1)));
  }
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
  const int8_t* q = job.input.q + first * stride;
  const uint32_t safe = safe_steps(w.bits);
  __m256 total[Tokens][2];
  for (int t = 0; t < Tokens; ++t) total[t][0] = total[t][1] = _mm256_setzero_ps();
  for (uint32_t g = 0; g < w.groups; ++g) {
    __m256i acc[Tokens][2];
    for (int t = 0; t < Tokens; ++t) acc[t][0] = acc[t][1] = _mm256_setzero_si256();
    const int8_t* in = q + quant_position(g * w.group_size, layout);
    const uint8_t* values = panel.values + (uint64_t)g * w.group_size * 16;
    multiply_group<Tokens>(acc, values, in, stride, half / 4, safe);
    multiply_group<Tokens>(acc, values + half * 16, in + odd, stride, half / 4, safe);
    for (int t = 0; t < Tokens; ++t) {
      const uint64_t at = (uint64_t)(first + t) * w.groups + g;
      const __m256 ds = _mm256_set1_ps(job.input.d[at]), ss = _mm256_set1_ps(job.input.s[at]);
      for (int h = 0; h < 2; ++h) {
        const __m256 scale = _mm256_loadu_ps(panel.scales + (uint64_t)g * 16 + h * 8);
        const __m256 bias = _mm256_loadu_ps(panel.biases + (uint64_t)g * 16 + h * 8);
        const __m256 scaled =
            _mm256_mul_ps(_mm256_mul_ps(scale, ds), _mm256_cvtepi32_ps(acc[t][h]));
        total[t][h] = _mm256_add_ps(total[t][h], _mm256_add_ps(scaled, _mm256_mul_ps(bias, ss)));
      }
    }
  }
  for (int t = 0; t < Tokens; ++t) {
    float results[16];
    _mm256_storeu_ps(results, total[t][0]);
    _mm256_storeu_ps(results + 8, total[t][1]);
    for (uint32_t r = 0; r < rows; ++r) put_result(job, first + t, row + r, results[r]);
  }
}

}  // namespace sk::SK_ISA
