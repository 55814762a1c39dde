// Prefill with AVX-512 VNNI: 32 rows are unpacked and transposed into the L2 cache, so that one
// vector holds four elements of 16 rows; they are multiplied by six tokens at a time, the twelve
// integer sums of a group and the twelve totals in registers.
#pragma once
#include "isa/fast_avx512.hpp"

namespace sk::SK_ISA {

constexpr uint32_t kTileTokens = 6;
constexpr uint32_t kStepBytes = kRowsPerTask * 4;  // four elements of every row of a task

struct Packed {
  uint8_t* values;  // [in / 4][32 rows][4]
  float* scales;    // [groups][scale, bias][32 rows]
};

static void pack_scales(const MatrixRows& w, const uint8_t* base, uint32_t row, uint32_t rows,
                        float* dst) {
  for (uint32_t g = 0; g < w.groups; g += 16) {
    const uint32_t count = w.groups - g < 16 ? w.groups - g : 16;
    __m512i lines[16];
#pragma GCC unroll 16
    for (uint32_t r = 0; r < 16; ++r)
      lines[r] = r < rows ? _mm512_castps_si512(load_scales(
                                base, (uint64_t)(row + r) * w.groups + g, count, w.type))
                          : _mm512_setzero_si512();
    transpose16(lines);
    for (uint32_t i = 0; i < count; ++i)
      _mm512_store_si512(dst + (uint64_t)(g + i) * 2 * kRowsPerTask, lines[i]);
  }
}

// 4-bit: a word of eight elements gives its even and its odd ones as two vectors.
static void pack_nibbles(const MatrixRows& w, uint32_t row, uint32_t rows, uint8_t* dst) {
  const uint8_t* base = w.data + (uint64_t)row * w.row_bytes;
  const uint32_t words = w.in / 8, group_words = w.group_size / 8;
  for (uint32_t first = 0; first < words; first += 16) {
    const uint32_t count = words - first < 16 ? words - first : 16;
    __m512i lines[16];
#pragma GCC unroll 16
    for (uint32_t r = 0; r < 16; ++r) {
      const uint8_t* p = base + (uint64_t)r * w.row_bytes + (uint64_t)first * 4;
      lines[r] = r < rows ? load_bytes(p, count * 4) : _mm512_setzero_si512();
    }
    transpose16(lines);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t group = (first + i) / group_words, word = (first + i) % group_words;
      uint8_t* even = dst + ((uint64_t)group * 2 * group_words + word) * kStepBytes;
      _mm512_store_si512(even, low_nibbles(lines[i]));
      _mm512_store_si512(even + (uint64_t)group_words * kStepBytes, high_nibbles(lines[i]));
    }
  }
}

static void pack_bytes(const MatrixRows& w, uint32_t row, uint32_t rows, uint8_t* dst) {
  const uint8_t* base = w.data + (uint64_t)row * w.row_bytes;
  for (uint32_t first = 0; first < w.in; first += 64) {
    const uint32_t count = w.in - first < 64 ? w.in - first : 64;
    __m512i lines[16];
    for (uint32_t r = 0; r < 16; ++r) {
      const uint8_t* p = base + (uint64_t)r * w.row_bytes + (uint64_t)first / 8 * w.bits;
      uint8_t plain[64];
      if (r < rows && w.bits != 8) {
        unpack_row(p, w.bits, plain, count);
        p = plain;
      }
      lines[r] = r < rows ? load_bytes(p, count) : _mm512_setzero_si512();
    }
    transpose16(lines);
    for (uint32_t i = 0; i < count / 4; ++i)
      _mm512_store_si512(dst + ((uint64_t)first / 4 + i) * kStepBytes, lines[i]);
  }
}

struct GroupInput {
  const int8_t* q;  // of the first token: the even elements of a 4-bit group, or its first half
  const float* d;
  const float* s;
  uint64_t stride;
  uint64_t groups;
  uint32_t odd;    // from the first half to the second
  uint32_t steps;  // of four elements in a half
};

// One group of Panels x 16 rows by Tokens tokens, added to `totals`.
template <int Panels, int Tokens>
SK_INLINE void multiply_group(const GroupInput& in, const uint8_t* values, const float* scales,
                              __m512 (*totals)[Tokens]) {
  __m512i acc[Panels][Tokens];
#pragma GCC unroll 4
  for (int p = 0; p < Panels; ++p)
#pragma GCC unroll 12
    for (int t = 0; t < Tokens; ++t) acc[p][t] = _mm512_setzero_si512();
  for (int part = 0; part < 2; ++part) {
    const int8_t* q = in.q + part * in.odd;
    for (uint32_t k = 0; k < in.steps; ++k, values += kStepBytes) {
      __m512i weights[Panels];
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) weights[p] = _mm512_loadu_si512(values + p * 64);
#pragma GCC unroll 12
      for (int t = 0; t < Tokens; ++t) {
        int32_t four;
        memcpy(&four, q + t * in.stride + 4 * k, 4);
        const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 4
        for (int p = 0; p < Panels; ++p) dot4(acc[p][t], weights[p], x);
      }
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < Panels; ++p) {
    const __m512 scale = _mm512_loadu_ps(scales + p * 16);
    const __m512 bias = _mm512_loadu_ps(scales + kRowsPerTask + p * 16);
#pragma GCC unroll 12
    for (int t = 0; t < Tokens; ++t) {
      const __m512 ds = _mm512_set1_ps(in.d[(uint64_t)t * in.groups]);
      const __m512 ss = _mm512_set1_ps(in.s[(uint64_t)t * in.groups]);
      const __m512 scaled = _mm512_mul_ps(_mm512_mul_ps(scale, ds), _mm512_cvtepi32_ps(acc[p][t]));
      const __m512 term = _mm512_add_ps(scaled, _mm512_mul_ps(bias, ss));
      totals[p][t] = _mm512_add_ps(totals[p][t], term);
    }
  }
}

SK_INLINE __mmask16 first_lanes(uint32_t count) {
  return count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
}

// Panels x 16 rows by Tokens tokens, from token `first` on.
template <int Panels, int Tokens>
static void multiply(const FastLinear& job, const Packed& packed, uint32_t first, uint32_t row,
                     uint32_t rows) {
  const MatrixRows& w = job.weight;
  const uint32_t half = w.group_size / 2;
  const QuantLayout layout = w.bits == 4 ? QuantLayout::split : QuantLayout::natural;
  const uint64_t at = (uint64_t)first * w.groups;
  const int8_t* q = job.input.q + (uint64_t)first * job.input.stride;
  GroupInput in{q,
                job.input.d + at,
                job.input.s + at,
                job.input.stride,
                w.groups,
                w.bits == 4 ? kChunk / 2 : half,
                half / 4};
  __m512 totals[Panels][Tokens];
  for (int p = 0; p < Panels; ++p)
    for (int t = 0; t < Tokens; ++t) totals[p][t] = _mm512_setzero_ps();
  for (uint32_t g = 0; g < w.groups; ++g, ++in.d, ++in.s) {
    in.q = q + quant_position(g * w.group_size, layout);
    multiply_group<Panels, Tokens>(in, packed.values + (uint64_t)g * w.group_size * kRowsPerTask,
                                   packed.scales + (uint64_t)g * 2 * kRowsPerTask, totals);
  }
  for (int p = 0; p < Panels; ++p) {
    const uint32_t begin = row + (uint32_t)p * 16;
    const __mmask16 mask = first_lanes(rows - (uint32_t)p * 16);
    for (int t = 0; t < Tokens; ++t) {
      __m512 value = totals[p][t];
      if (job.bias != nullptr)
        value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, job.bias + begin));
      _mm512_mask_storeu_ps(job.output + (first + (uint64_t)t) * w.out + begin, mask, value);
    }
  }
}

// All tokens in tiles of three to six, as even as they come.
template <int Panels>
static void multiply_tokens(const FastLinear& job, const Packed& packed, uint32_t row,
                            uint32_t rows) {
  uint32_t tiles = (job.tokens + kTileTokens - 1) / kTileTokens;
  for (uint32_t t = 0; t < job.tokens; --tiles) {
    const uint32_t count = (job.tokens - t + tiles - 1) / tiles;
    if (count == 6) {
      multiply<Panels, 6>(job, packed, t, row, rows);
    } else if (count == 5) {
      multiply<Panels, 5>(job, packed, t, row, rows);
    } else if (count == 4) {
      multiply<Panels, 4>(job, packed, t, row, rows);
    } else {
      multiply<Panels, 3>(job, packed, t, row, rows);
    }
    t += count;
  }
}

static void packed_task(const FastLinear& job, uint32_t task, uint8_t* scratch) {
  const MatrixRows& w = job.weight;
  const uint32_t row = task * kRowsPerTask;
  const uint32_t rows = w.out - row < kRowsPerTask ? w.out - row : kRowsPerTask;
  Packed packed;
  packed.values = (uint8_t*)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
  packed.scales = (float*)(packed.values + (uint64_t)w.in * kRowsPerTask);
  for (uint32_t p = 0; p * 16 < rows; ++p) {
    const uint32_t begin = p * 16, count = rows - begin < 16 ? rows - begin : 16;
    if (w.bits == 4) {
      pack_nibbles(w, row + begin, count, packed.values + p * 64);
    } else {
      pack_bytes(w, row + begin, count, packed.values + p * 64);
    }
    pack_scales(w, w.scales, row + begin, count, packed.scales + begin);
    pack_scales(w, w.biases, row + begin, count, packed.scales + kRowsPerTask + begin);
  }
  if (rows > 16) return multiply_tokens<2>(job, packed, row, rows);
  multiply_tokens<1>(job, packed, row, rows);
}

}  // namespace sk::SK_ISA
