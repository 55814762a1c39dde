// `fast` with AVX-512 VNNI. dpbusd adds products of unsigned weights and signed activations into
// 32 bits without saturating, so all widths share one kernel.
#pragma once
#include <immintrin.h>

#include "isa/fast_rows.hpp"

namespace sk::SK_ISA {

typedef __m512 Terms;
constexpr uint32_t kTerms = 16;

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

SK_INLINE __m512i add_lanes(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}
// Four vectors to one: 128-bit lane L holds the sums of lane L of a, b, c and d.
SK_INLINE __m512i add_quads(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

// 16 group sums in order from vectors that hold PerVector groups each.
template <int PerVector>
SK_INLINE __m512i group_sums(const __m512i* a) {
  if constexpr (PerVector == 4) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, add_quads(a[0], a[1], a[2], a[3]));
  } else if constexpr (PerVector == 2) {
    const __m512i order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    return _mm512_permutexvar_epi32(
        order, add_lanes(add_quads(a[0], a[1], a[2], a[3]), add_quads(a[4], a[5], a[6], a[7])));
  } else {
    const __m512i low =
        add_lanes(add_quads(a[0], a[1], a[2], a[3]), add_quads(a[4], a[5], a[6], a[7]));
    const __m512i high =
        add_lanes(add_quads(a[8], a[9], a[10], a[11]), add_quads(a[12], a[13], a[14], a[15]));
    return add_lanes(low, high);
  }
}

// Terms of up to 16 groups of one row, `packed` and `q` at the first of them.
template <bool Nibbles, int GroupSize>
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
      if (at >= bytes) continue;
      _mm_prefetch((const char*)packed + at + 1024, _MM_HINT_T0);
      const __m512i value = load_bytes(packed + at, bytes - at);
      if constexpr (Nibbles) {
        dot4(sums[v], low_nibbles(value), _mm512_loadu_si512(q + at * 2));
        dot4(sums[v], high_nibbles(value), _mm512_loadu_si512(q + at * 2 + 64));
      } else {
        dot4(sums[v], value, _mm512_loadu_si512(q + at));
      }
    }
  }
  const __m512 dots = _mm512_cvtepi32_ps(group_sums<per_vector>(sums));
  const __m512 scaled =
      _mm512_mul_ps(_mm512_mul_ps(load_scales(w.scales, first, count, w.type), d), dots);
  return _mm512_add_ps(scaled, _mm512_mul_ps(load_scales(w.biases, first, count, w.type), s));
}

// acc[r] += terms[r][0], then [1], ...: the order of the specification.
SK_INLINE __m128 add_terms(__m128 acc, const __m512* t, uint32_t count) {
  const __m512 a = _mm512_unpacklo_ps(t[0], t[1]), b = _mm512_unpackhi_ps(t[0], t[1]);
  const __m512 c = _mm512_unpacklo_ps(t[2], t[3]), e = _mm512_unpackhi_ps(t[2], t[3]);
  const __m512d ad = _mm512_castps_pd(a), bd = _mm512_castps_pd(b);
  const __m512d cd = _mm512_castps_pd(c), ed = _mm512_castps_pd(e);
  float columns[16][4] __attribute__((aligned(64)));
  const __m512 v[4] = {
      _mm512_castpd_ps(_mm512_unpacklo_pd(ad, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ad, cd)),
      _mm512_castpd_ps(_mm512_unpacklo_pd(bd, ed)), _mm512_castpd_ps(_mm512_unpackhi_pd(bd, ed))};
  for (int i = 0; i < 4; ++i) {
    _mm_store_ps(columns[i], _mm512_extractf32x4_ps(v[i], 0));
    _mm_store_ps(columns[4 + i], _mm512_extractf32x4_ps(v[i], 1));
    _mm_store_ps(columns[8 + i], _mm512_extractf32x4_ps(v[i], 2));
    _mm_store_ps(columns[12 + i], _mm512_extractf32x4_ps(v[i], 3));
  }
  if (count == 16) {
#pragma GCC unroll 16
    for (int g = 0; g < 16; ++g) acc = _mm_add_ps(acc, _mm_load_ps(columns[g]));
    return acc;
  }
  for (uint32_t g = 0; g < count; ++g) acc = _mm_add_ps(acc, _mm_load_ps(columns[g]));
  return acc;
}

}  // namespace sk::SK_ISA

#include "isa/fast_stream.hpp"
