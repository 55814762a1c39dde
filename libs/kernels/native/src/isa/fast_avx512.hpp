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

// 16 group sums in order from vectors that hold PerVector groups each.
template <bool Nibbles, int PerVector>
SK_INLINE __m512i group_sums(const __m512i* a) {
  if constexpr (PerVector == 4) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, add_quads<Nibbles>(a[0], a[1], a[2], a[3]));
  } else if constexpr (PerVector == 2) {
    const __m512i order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    return _mm512_permutexvar_epi32(order, add_lanes(add_quads<Nibbles>(a[0], a[1], a[2], a[3]),
                                                     add_quads<Nibbles>(a[4], a[5], a[6], a[7])));
  } else {
    const __m512i low = add_lanes(add_quads<Nibbles>(a[0], a[1], a[2], a[3]),
                                  add_quads<Nibbles>(a[4], a[5], a[6], a[7]));
    const __m512i high = add_lanes(add_quads<Nibbles>(a[8], a[9], a[10], a[11]),
                                   add_quads<Nibbles>(a[12], a[13], a[14], a[15]));
    return add_lanes(low, high);
  }
}

// Terms of up to 16 groups of one row, `packed` and `q` at the first of them.
template <bool Nibbles, int GroupSize, bool Full>
SK_INLINE __m512 row_terms(const MatrixRows& w, const uint8_t* packed, const int8_t* q,
                           uint64_t first, uint32_t count, __m512 d, __m512 s) {
  constexpr int vector_elements = Nibbles ? 128 : 64;
  constexpr int per_vector = GroupSize >= vector_elements ? 1 : vector_elements / GroupSize;
  constexpr int vectors = 16 / per_vector;
  constexpr int loads = GroupSize * per_vector / vector_elements;
  const uint32_t bytes = count * (GroupSize * (Nibbles ? 4 : 8) / 8);
  __m512i sums[vectors];
#pragma GCC unroll 16
  for (int v = 0; v < vectors; ++v) {
    sums[v] = _mm512_setzero_si512();
#pragma GCC unroll 2
    for (int l = 0; l < loads; ++l) {
      const uint32_t at = (uint32_t)(v * loads + l) * 64;
      if (!Full && at >= bytes) continue;
      _mm_prefetch((const char*)packed + at + kAhead, _MM_HINT_T0);
      const __m512i value = load_bytes(packed + at, Full ? 64 : bytes - at);
      if constexpr (Nibbles) {
        dot4(sums[v], low_nibbles(value), _mm512_loadu_si512(q + at * 2));
        dot4(sums[v], high_nibbles(value), _mm512_loadu_si512(q + at * 2 + 64));
      } else {
        dot4(sums[v], value, _mm512_loadu_si512(q + at));
      }
    }
  }
  _mm_prefetch((const char*)w.scales + first * 2 + kAhead / 16, _MM_HINT_T0);
  _mm_prefetch((const char*)w.biases + first * 2 + kAhead / 16, _MM_HINT_T0);
  const __m512 dots = _mm512_cvtepi32_ps(group_sums<Nibbles, per_vector>(sums));
  const __m512 scaled =
      _mm512_mul_ps(_mm512_mul_ps(load_scales(w.scales, first, count, w.type), d), dots);
  return _mm512_add_ps(scaled, _mm512_mul_ps(load_scales(w.biases, first, count, w.type), s));
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
