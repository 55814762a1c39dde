// `fast` with AVX2. maddubs adds pairs of products into 16 bits and saturates: 4-bit weights are
// safe for eight additions; bytes are split into nibbles so that no pair can saturate.
#pragma once
#include <immintrin.h>

#include "isa/fast_rows.hpp"

namespace sk::SK_ISA {

typedef __m256 Terms;
constexpr uint32_t kTerms = 8;
constexpr uint32_t kAhead = 2048;  // bytes of a stream fetched ahead

SK_INLINE __m256i low_nibbles(__m256i v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
SK_INLINE __m256i high_nibbles(__m256i v) { return low_nibbles(_mm256_srli_epi16(v, 4)); }
SK_INLINE __m256i load_q(const int8_t* p) { return _mm256_loadu_si256((const __m256i*)p); }

SK_INLINE __m256i load_bytes(const uint8_t* p, uint32_t count) {
  if (count >= 32) return _mm256_loadu_si256((const __m256i*)p);
  uint8_t part[32] = {};
  memcpy(part, p, count);
  return _mm256_loadu_si256((const __m256i*)part);
}

// Eight sums of four products each, for weights of any byte.
SK_INLINE __m256i dot_bytes(__m256i w, __m256i q) {
  const __m256i low = _mm256_maddubs_epi16(low_nibbles(w), q);
  const __m256i high = _mm256_maddubs_epi16(high_nibbles(w), q);
  return _mm256_add_epi32(_mm256_madd_epi16(low, _mm256_set1_epi16(1)),
                          _mm256_madd_epi16(high, _mm256_set1_epi16(16)));
}

// Eight sums of the eight elements of a word: 32 bytes of nibbles at `at` bytes into the row.
SK_INLINE __m256i dot_words(__m256i w, const int8_t* q, uint32_t at) {
  const int8_t* even = q + at / 64 * 128 + at % 64;
  const __m256i low = _mm256_maddubs_epi16(low_nibbles(w), load_q(even));
  const __m256i high = _mm256_maddubs_epi16(high_nibbles(w), load_q(even + 64));
  return _mm256_madd_epi16(_mm256_add_epi16(low, high), _mm256_set1_epi16(1));
}

SK_INLINE void transpose8(__m256i* r) {
  __m256i t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  __m256i u[8];
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
    r[4 + i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
  }
}

// Four vectors to one: 128-bit lane L holds the sums of lane L of a, b, c and d. Sums of nibble
// products are below 2^14, so two of them still fit 16 bits.
template <bool Nibbles>
SK_INLINE __m256i add_quads(const __m256i* a) {
  if constexpr (Nibbles) {
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i low = _mm256_madd_epi16(_mm256_packs_epi32(a[0], a[1]), ones);
    const __m256i high = _mm256_madd_epi16(_mm256_packs_epi32(a[2], a[3]), ones);
    return _mm256_madd_epi16(_mm256_packs_epi32(low, high), ones);
  }
  return _mm256_hadd_epi32(_mm256_hadd_epi32(a[0], a[1]), _mm256_hadd_epi32(a[2], a[3]));
}

// Eight group sums in order from quads of vectors that hold PerVector groups each.
template <int PerVector>
SK_INLINE __m256i group_sums(const __m256i* quads) {
  if constexpr (PerVector == 2) {
    return _mm256_permutevar8x32_epi32(quads[0], _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  } else {
    return _mm256_add_epi32(_mm256_permute2x128_si256(quads[0], quads[1], 0x20),
                            _mm256_permute2x128_si256(quads[0], quads[1], 0x31));
  }
}

SK_INLINE __m256 load_scales(const uint8_t* base, uint64_t first, uint32_t count, FloatType type) {
  if (count < 8) {
    float part[8] = {};
    for (uint32_t i = 0; i < count; ++i) part[i] = load_scalar(base, first + i, type);
    return _mm256_loadu_ps(part);
  }
  if (type == FloatType::f32) return _mm256_loadu_ps((const float*)(base + first * 4));
  const __m128i halves = _mm_loadu_si128((const __m128i*)(base + first * 2));
  if (type == FloatType::f16) return _mm256_cvtph_ps(halves);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

SK_INLINE __m256 load_floats(const float* p, uint32_t count) {
  if (count >= 8) return _mm256_loadu_ps(p);
  float part[8] = {};
  memcpy(part, p, count * sizeof(float));
  return _mm256_loadu_ps(part);
}

// Dot products of up to eight groups of Rows rows, which lie at packed[r]; q belongs to these
// groups, the first of which starts a chunk of 128 elements. A part of each row in turn: the memory
// system sees even streams.
template <bool Nibbles, int GroupSize, int Rows, bool Full>
SK_INLINE void row_dots(const uint8_t* const* packed, uint32_t count, const int8_t* q,
                        Terms* dots) {
  constexpr int vector_elements = Nibbles ? 64 : 32;
  constexpr int per_vector = GroupSize >= vector_elements ? 1 : vector_elements / GroupSize;
  constexpr int vectors = 8 / per_vector;
  constexpr int loads = GroupSize * per_vector / vector_elements;
  const uint32_t bytes = count * (GroupSize * (Nibbles ? 4 : 8) / 8);
  __m256i quads[Rows][vectors / 4];
#pragma GCC unroll 2
  for (int quad = 0; quad < vectors / 4; ++quad) {
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      __m256i sums[4];
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        sums[v] = _mm256_setzero_si256();
#pragma GCC unroll 4
        for (int l = 0; l < loads; ++l) {
          const uint32_t at = (uint32_t)((quad * 4 + v) * loads + l) * 32;
          if (!Full && at >= bytes) continue;
          if (at % 64 == 0) _mm_prefetch((const char*)packed[r] + at + kAhead, _MM_HINT_T0);
          const __m256i value = load_bytes(packed[r] + at, Full ? 32 : bytes - at);
          const __m256i dot = Nibbles ? dot_words(value, q, at) : dot_bytes(value, load_q(q + at));
          sums[v] = l == 0 ? dot : _mm256_add_epi32(sums[v], dot);
        }
      }
      quads[r][quad] = add_quads<Nibbles>(sums);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) dots[r] = _mm256_cvtepi32_ps(group_sums<per_vector>(quads[r]));
}

// acc[r] += terms[r][0], then [1], ...: the order of the specification.
SK_INLINE __m256 add_terms(__m256 acc, const float (*terms)[kTerms], uint32_t count) {
  __m256i columns[8];
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) columns[r] = _mm256_load_si256((const __m256i*)terms[r]);
  transpose8(columns);
  for (uint32_t g = 0; g < count; ++g) acc = _mm256_add_ps(acc, _mm256_castsi256_ps(columns[g]));
  return acc;
}

SK_INLINE void store_floats(float* p, __m256 v) { _mm256_store_ps(p, v); }

}  // namespace sk::SK_ISA

#include "isa/fast_stream.hpp"
