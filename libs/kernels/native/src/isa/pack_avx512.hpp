// Prefill with AVX-512 VNNI: 16 rows at a time are unpacked and transposed, so that one vector
// holds four elements of 16 rows; 32 rows by eight tokens are then multiplied from registers.
#pragma once
#include "isa/fast_avx512.hpp"

namespace sk::SK_ISA {

SK_INLINE void transpose16(__m512i* r) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512i a = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
    const __m512i c = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
    const __m512i e = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    t[i] = _mm512_shuffle_i32x4(a, c, 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(b, e, 0x88);
    t[8 + i] = _mm512_shuffle_i32x4(a, c, 0xdd);
    t[12 + i] = _mm512_shuffle_i32x4(b, e, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) r[i] = t[i];
}

struct Panel {
  uint8_t* values;  // [in / 4][16 rows][4]
  float* scales;    // [groups][16 rows]
  float* biases;
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
      _mm512_storeu_si512(dst + (uint64_t)(g + i) * 16, lines[i]);
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
      uint8_t* even = dst + ((uint64_t)group * 2 * group_words + word) * 64;
      _mm512_storeu_si512(even, low_nibbles(lines[i]));
      _mm512_storeu_si512(even + (uint64_t)group_words * 64, high_nibbles(lines[i]));
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
      _mm512_storeu_si512(dst + ((uint64_t)first / 4 + i) * 64, lines[i]);
  }
}

// Panels x 16 rows by Tokens tokens, from token `first` on.
template <int Panels, int Tokens>
static void multiply(const FastLinear& job, const Panel* panels, uint32_t first, uint32_t row,
                     uint32_t rows) {
  const MatrixRows& w = job.weight;
  const uint32_t half = w.group_size / 2, steps = half / 4;
  const uint32_t odd = w.bits == 4 ? kChunk / 2 : half;
  const QuantLayout layout = w.bits == 4 ? QuantLayout::split : QuantLayout::natural;
  const uint64_t stride = job.input.stride;
  const int8_t* q = job.input.q + first * stride;
  const float* d = job.input.d + (uint64_t)first * w.groups;
  const float* s = job.input.s + (uint64_t)first * w.groups;
  __m512 total[Panels][Tokens];
  for (int p = 0; p < Panels; ++p)
    for (int t = 0; t < Tokens; ++t) total[p][t] = _mm512_setzero_ps();
  for (uint32_t g = 0; g < w.groups; ++g) {
    __m512i acc[Panels][Tokens];
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p)
#pragma GCC unroll 8
      for (int t = 0; t < Tokens; ++t) acc[p][t] = _mm512_setzero_si512();
    const int8_t* in = q + quant_position(g * w.group_size, layout);
    uint64_t at = (uint64_t)g * w.group_size * 16;
    for (int part = 0; part < 2; ++part, in += odd) {
      for (uint32_t k = 0; k < steps; ++k, at += 64) {
        __m512i weights[Panels];
#pragma GCC unroll 4
        for (int p = 0; p < Panels; ++p) weights[p] = _mm512_loadu_si512(panels[p].values + at);
#pragma GCC unroll 8
        for (int t = 0; t < Tokens; ++t) {
          int32_t four;
          memcpy(&four, in + t * stride + 4 * k, 4);
          const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 4
          for (int p = 0; p < Panels; ++p) dot4(acc[p][t], weights[p], x);
        }
      }
    }
    for (int p = 0; p < Panels; ++p) {
      const __m512 scale = _mm512_loadu_ps(panels[p].scales + (uint64_t)g * 16);
      const __m512 bias = _mm512_loadu_ps(panels[p].biases + (uint64_t)g * 16);
#pragma GCC unroll 8
      for (int t = 0; t < Tokens; ++t) {
        const __m512 ds = _mm512_set1_ps(d[(uint64_t)t * w.groups + g]);
        const __m512 ss = _mm512_set1_ps(s[(uint64_t)t * w.groups + g]);
        const __m512 scaled =
            _mm512_mul_ps(_mm512_mul_ps(scale, ds), _mm512_cvtepi32_ps(acc[p][t]));
        total[p][t] = _mm512_add_ps(total[p][t], _mm512_add_ps(scaled, _mm512_mul_ps(bias, ss)));
      }
    }
  }
  for (int p = 0; p < Panels; ++p) {
    const uint32_t begin = row + (uint32_t)p * 16;
    const uint32_t count = rows - (uint32_t)p * 16 < 16 ? rows - (uint32_t)p * 16 : 16;
    const __mmask16 mask = (__mmask16)((1u << count) - 1);
    for (int t = 0; t < Tokens; ++t) {
      __m512 value = total[p][t];
      if (job.bias != nullptr)
        value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, job.bias + begin));
      _mm512_mask_storeu_ps(job.output + (uint64_t)(first + t) * w.out + begin, mask, value);
    }
  }
}

template <int Tokens>
static void multiply_panels(const FastLinear& job, const Panel* panels, uint32_t token,
                            uint32_t row, uint32_t rows) {
  uint32_t at = 0;
  for (; at + 16 < rows; at += 32)
    multiply<2, Tokens>(job, panels + at / 16, token, row + at, rows - at);
  if (at < rows) multiply<1, Tokens>(job, panels + at / 16, token, row + at, rows - at);
}

static void packed_task(const FastLinear& job, uint32_t task, uint8_t* scratch) {
  const MatrixRows& w = job.weight;
  const uint32_t row = task * kRowsPerTask;
  const uint32_t rows = w.out - row < kRowsPerTask ? w.out - row : kRowsPerTask;
  Panel panels[kRowsPerTask / kPanelRows];
  uint8_t* next = (uint8_t*)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
  for (uint32_t p = 0; p * 16 < rows; ++p) {
    const uint32_t begin = row + p * 16, count = rows - p * 16 < 16 ? rows - p * 16 : 16;
    panels[p].values = next;
    panels[p].scales = (float*)(next + panel_bytes(w));
    panels[p].biases = panels[p].scales + (uint64_t)w.groups * 16;
    next = (uint8_t*)(panels[p].biases + (uint64_t)w.groups * 16);
    if (w.bits == 4) {
      pack_nibbles(w, begin, count, panels[p].values);
    } else {
      pack_bytes(w, begin, count, panels[p].values);
    }
    pack_scales(w, w.scales, begin, count, panels[p].scales);
    pack_scales(w, w.biases, begin, count, panels[p].biases);
  }
  uint32_t t = 0;
  for (; t + 8 <= job.tokens; t += 8) multiply_panels<8>(job, panels, t, row, rows);
  for (; t + 4 <= job.tokens; t += 4) multiply_panels<4>(job, panels, t, row, rows);
  for (; t + 2 <= job.tokens; t += 2) multiply_panels<2>(job, panels, t, row, rows);
  for (; t < job.tokens; ++t) multiply_panels<1>(job, panels, t, row, rows);
}

static void fast_task(const FastLinear& job, uint32_t task, uint8_t* scratch) {
  if (job.tokens > kFewTokens) return packed_task(job, task, scratch);
  stream_task(job, task, scratch);
}

}  // namespace sk::SK_ISA
