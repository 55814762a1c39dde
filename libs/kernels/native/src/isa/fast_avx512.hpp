// `fast` with AVX-512 VNNI. dpbusd adds products of unsigned weights and signed activations into
// 32 bits without saturating, so all widths share one kernel.
#pragma once
#include <immintrin.h>

#include "isa/fast_rows.hpp"

namespace sk::SK_ISA {

typedef __m512 Terms;
constexpr uint32_t kTerms = 16;
constexpr uint32_t kAhead = 2048;  // bytes of a stream fetched ahead

// Inline assembly: GCC 12 copies the accumulator around the intrinsic.
SK_INLINE void dot4(__m512i& acc, __m512i weights, __m512i activations) {
  asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(weights), "v"(activations));
}

SK_INLINE __m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
SK_INLINE __m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }

SK_INLINE __m512i load_bytes(const uint8_t* p, uint32_t count) {
  if (count >= 64) return _mm512_loadu_si512(p);
  return _mm512_maskz_loadu_epi8(((__mmask64)1 << count) - 1, p);
}

// Up to 16 scales of a row.
SK_INLINE __m512 load_scales(const uint8_t* base, uint64_t first, uint32_t count, FloatType type) {
  const __mmask16 mask = count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1);
  if (type == FloatType::f32) return _mm512_maskz_loadu_ps(mask, base + first * 4);
  const __m256i halves = _mm256_maskz_loadu_epi16(mask, base + first * 2);
  if (type == FloatType::f16) return _mm512_cvtph_ps(halves);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

SK_INLINE __m512 load_floats(const float* p, uint32_t count) {
  return _mm512_maskz_loadu_ps(count >= 16 ? 0xffff : (__mmask16)((1u << count) - 1), p);
}

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

SK_INLINE __m512i add_lanes(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}
// Four vectors to one: 128-bit lane L holds the sums of lane L of a, b, c and d. Sums of nibble
// products are below 2^14, so two of them still fit 16 bits.
template <bool Nibbles>
SK_INLINE __m512i add_quads(__m512i a, __m512i b, __m512i c, __m512i d) {
  if constexpr (Nibbles) {
    const __m512i ones = _mm512_set1_epi16(1);
    const __m512i ab = _mm512_madd_epi16(_mm512_packs_epi32(a, b), ones);
    const __m512i cd = _mm512_madd_epi16(_mm512_packs_epi32(c, d), ones);
    return _mm512_madd_epi16(_mm512_packs_epi32(ab, cd), ones);
  }
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

// 16 group sums in order from quads of vectors that hold PerVector groups each.
template <int PerVector>
SK_INLINE __m512i group_sums(const __m512i* quads) {
  if constexpr (PerVector == 4) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, quads[0]);
  } else if constexpr (PerVector == 2) {
    const __m512i order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    return _mm512_permutexvar_epi32(order, add_lanes(quads[0], quads[1]));
  } else {
    return add_lanes(add_lanes(quads[0], quads[1]), add_lanes(quads[2], quads[3]));
  }
}

// Dot products of up to 16 groups of Rows rows, which lie at packed[r]; q belongs to these groups.
// A line of each row in turn: the memory system sees even streams.
template <bool Nibbles, int GroupSize, int Rows, bool Full>
SK_INLINE void row_dots(const uint8_t* const* packed, uint32_t count, const int8_t* q,
                        Terms* dots) {
  constexpr int vector_elements = Nibbles ? 128 : 64;
  constexpr int per_vector = GroupSize >= vector_elements ? 1 : vector_elements / GroupSize;
  constexpr int vectors = 16 / per_vector;
  constexpr int loads = GroupSize * per_vector / vector_elements;
  const uint32_t bytes = Full ? vectors * loads * 64 : count * (GroupSize * (Nibbles ? 4 : 8) / 8);
  __m512i quads[Rows][vectors / 4];
#pragma GCC unroll 4
  for (int quad = 0; quad < vectors / 4; ++quad) {
    __m512i sums[Rows][4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
#pragma GCC unroll 2
      for (int l = 0; l < loads; ++l) {
        const uint32_t at = (uint32_t)((quad * 4 + v) * loads + l) * 64;
        const bool there = Full || at < bytes;
        const int8_t* p = q + at * (Nibbles ? 2 : 1);
        const __m512i q0 = there ? _mm512_loadu_si512(p) : _mm512_setzero_si512();
        const __m512i q1 = there && Nibbles ? _mm512_loadu_si512(p + 64) : _mm512_setzero_si512();
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) {
          if (l == 0) sums[r][v] = _mm512_setzero_si512();
          if (!there) continue;
          _mm_prefetch((const char*)packed[r] + at + kAhead, _MM_HINT_T0);
          const __m512i value = load_bytes(packed[r] + at, Full ? 64 : bytes - at);
          if constexpr (Nibbles) {
            dot4(sums[r][v], low_nibbles(value), q0);
            dot4(sums[r][v], high_nibbles(value), q1);
          } else {
            dot4(sums[r][v], value, q0);
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r)
      quads[r][quad] = add_quads<Nibbles>(sums[r][0], sums[r][1], sums[r][2], sums[r][3]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) dots[r] = _mm512_cvtepi32_ps(group_sums<per_vector>(quads[r]));
}

// acc[r] += terms[r][0], then [1], ...: the order of the specification.
SK_INLINE __m512 add_terms(__m512 acc, const float (*terms)[kTerms], uint32_t count) {
  __m512i columns[16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) columns[r] = _mm512_load_si512(terms[r]);
  transpose16(columns);
  if (count == 16) {
#pragma GCC unroll 16
    for (int g = 0; g < 16; ++g) acc = _mm512_add_ps(acc, _mm512_castsi512_ps(columns[g]));
    return acc;
  }
  for (uint32_t g = 0; g < count; ++g) acc = _mm512_add_ps(acc, _mm512_castsi512_ps(columns[g]));
  return acc;
}

SK_INLINE void store_floats(float* p, __m512 v) { _mm512_store_ps(p, v); }

}  // namespace sk::SK_ISA

#include "isa/fast_stream.hpp"
