// Sixteen virtual lanes over whatever vectors the compilation unit has. Everything that is added
// up is added up in these lanes and folded in one order (8, 4, 2, 1), so a result does not depend
// on the width of the machine. Compiled with -ffp-contract=off: a multiply and an add stay two.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "isa/kernels.hpp"
#if defined(__F16C__) || defined(__AVX512F__)
#include <immintrin.h>
#endif
#if defined(SK_NEON_DOTPROD)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define SK_WIDTH 16
#elif defined(__AVX2__)
#define SK_WIDTH 8
#else
#define SK_WIDTH 4
#endif
#define SK_PARTS (16 / SK_WIDTH)
#define SK_INLINE static inline __attribute__((always_inline))

namespace sk::SK_ISA {

typedef float vf __attribute__((vector_size(SK_WIDTH * 4)));
typedef int32_t vi __attribute__((vector_size(SK_WIDTH * 4)));

struct V {
  vf p[SK_PARTS];
};

#define SK_EACH for (int i = 0; i < SK_PARTS; ++i)

SK_INLINE V splat(float x) {
  V r;
  SK_EACH r.p[i] = x - (vf){};
  return r;
}
SK_INLINE V zero() {
  V r;
  SK_EACH r.p[i] = (vf){};
  return r;
}
// Vector by vector: GCC copies a whole V in pieces of 16 bytes, which a wider load then waits for.
SK_INLINE V load(const float* x) {
  V r;
  SK_EACH memcpy(&r.p[i], x + i * SK_WIDTH, sizeof(vf));
  return r;
}
SK_INLINE void store(float* x, V a) { SK_EACH memcpy(x + i * SK_WIDTH, &a.p[i], sizeof(vf)); }
SK_INLINE V load_n(const float* x, uint32_t n) {
  if (n >= 16) return load(x);
  float t[16] = {};
  memcpy(t, x, n * sizeof(float));
  return load(t);
}
SK_INLINE void store_n(float* x, V a, uint32_t n) {
  if (n >= 16) return store(x, a);
  float t[16];
  store(t, a);
  memcpy(x, t, n * sizeof(float));
}

SK_INLINE V operator+(V a, V b) {
  SK_EACH a.p[i] += b.p[i];
  return a;
}
SK_INLINE V operator-(V a, V b) {
  SK_EACH a.p[i] -= b.p[i];
  return a;
}
SK_INLINE V operator*(V a, V b) {
  SK_EACH a.p[i] *= b.p[i];
  return a;
}
SK_INLINE V operator/(V a, V b) {
  SK_EACH a.p[i] /= b.p[i];
  return a;
}
// Lanes where a is not larger (or is NaN) take b.
SK_INLINE V max(V a, V b) {
  SK_EACH a.p[i] = a.p[i] > b.p[i] ? a.p[i] : b.p[i];
  return a;
}
SK_INLINE V absolute(V a) {
  SK_EACH a.p[i] = (vf)((vi)a.p[i] & 0x7fffffff);
  return a;
}

typedef float v8f __attribute__((vector_size(32)));
typedef float v4f __attribute__((vector_size(16)));

// x[i] op x[i + 8], then + 4, + 2, + 1.
SK_INLINE float sum(V a) {
  float t[16];
  store(t, a);
  v4f q[4];
  memcpy(q, t, sizeof q);
  const v4f e = (q[0] + q[2]) + (q[1] + q[3]);
  return (e[0] + e[2]) + (e[1] + e[3]);
}
SK_INLINE float larger(float a, float b) { return a > b ? a : b; }
SK_INLINE float largest(V a) {
  v8f h[2];
  store((float*)h, a);
  const v8f eight = h[0] > h[1] ? h[0] : h[1];
  v4f q[2];
  memcpy(q, &eight, sizeof q);
  const v4f four = q[0] > q[1] ? q[0] : q[1];
  return larger(larger(four[0], four[2]), larger(four[1], four[3]));
}

SK_INLINE float bits_to_float(uint32_t u) {
  float f;
  memcpy(&f, &u, 4);
  return f;
}
SK_INLINE uint32_t float_to_bits(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  return u;
}

// The largest |x| of `count` numbers, a multiple of 16: NaN if one of them is. Bits without a sign
// are in the order of the floats, infinity above every number and NaN above infinity.
SK_INLINE float largest_magnitude(const float* x, uint32_t count) {
  vi top[SK_PARTS] = {};
  for (uint32_t at = 0; at < count; at += 16) {
    const V a = absolute(load(x + at));
    SK_EACH top[i] = (vi)a.p[i] > top[i] ? (vi)a.p[i] : top[i];
  }
  int32_t lanes[16];
  memcpy(lanes, top, sizeof lanes);
  int32_t largest = 0;
  for (int i = 0; i < 16; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  return bits_to_float((uint32_t)largest);
}

SK_INLINE float half_to_float(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000) << 16;
  const uint32_t rest = h & 0x7fff;
  if (rest >= 0x7c00) return bits_to_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  // Subnormals included: the exponent offset is put right by an exact multiplication.
  return bits_to_float(float_to_bits(bits_to_float(rest << 13) * 0x1p112f) | sign);
}

SK_INLINE uint16_t float_to_half(float f) {
  const uint32_t u = float_to_bits(f);
  const uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
  const uint32_t a = u & 0x7fffffff;
  if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
  if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (a < 0x38800000) {  // subnormal or zero: let the float adder round
    const float r = bits_to_float(a) + 0.5f;
    return (uint16_t)(sign | (float_to_bits(r) - 0x3f000000));
  }
  return (uint16_t)(sign | ((a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13));
}

SK_INLINE V load_half(const uint16_t* x) {
#if defined(__AVX512F__)
  V r;
  r.p[0] = (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)x));
  return r;
#elif defined(__F16C__)
  V r;
  r.p[0] = (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)x));
  r.p[1] = (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(x + 8)));
  return r;
#elif defined(SK_NEON_DOTPROD)
  V r;
  SK_EACH r.p[i] = (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x + 4 * i)));
  return r;
#else
  float t[16];
  for (int i = 0; i < 16; ++i) t[i] = half_to_float(x[i]);
  return load(t);
#endif
}
SK_INLINE V load_half_n(const uint16_t* x, uint32_t n) {
  if (n >= 16) return load_half(x);
  uint16_t t[16] = {};
  memcpy(t, x, n * sizeof(uint16_t));
  return load_half(t);
}

// Values of any supported type at any alignment.
SK_INLINE float load_scalar(const uint8_t* base, uint64_t index, FloatType type) {
  if (type == FloatType::f32) {
    float f;
    memcpy(&f, base + index * 4, 4);
    return f;
  }
  uint16_t h;
  memcpy(&h, base + index * 2, 2);
  return type == FloatType::bf16 ? bits_to_float((uint32_t)h << 16) : half_to_float(h);
}

// exp: argument reduced by multiples of ln 2, then the Cephes polynomial; within 2 ulp.
// Below -87.3365 the result is 0, above 88.37 it stays at exp(88.37).
SK_INLINE V exp(V x) {
  const float magic = 12582912.0f;
  V result;
  SK_EACH {
    vf a = x.p[i];
    const vi tiny = a < -87.33654f;
    a = tiny ? (vf){} - 87.33654f : a;
    a = a > 88.37f ? (vf){} + 88.37f : a;
    const vf t = a * 1.44269504088896341f + magic;
    const vf n = t - magic;
    const vi power = (vi)t - 0x4b400000;
    vf r = a - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    const vf scaled = p * (vf)((power + 127) << 23);
    result.p[i] = tiny ? (vf){} : scaled;
  }
  return result;
}
SK_INLINE V sigmoid(V x) { return splat(1.0f) / (splat(1.0f) + exp(zero() - x)); }
SK_INLINE V silu(V x) { return x / (splat(1.0f) + exp(zero() - x)); }

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|), the logarithm by the series of 2 atanh(e / (2 + e)).
SK_INLINE V softplus(V x) {
  const V e = exp(zero() - absolute(x));
  const V u = e / (e + splat(2.0f));
  const V u2 = u * u;
  V p = splat(1.0f / 17.0f);
  for (int k = 15; k >= 1; k -= 2) p = p * u2 + splat(1.0f / (float)k);
  return max(x, zero()) + splat(2.0f) * u * p;
}

// Dot product with four accumulators, folded (0 + 1) + (2 + 3), then across lanes.
SK_INLINE float dot(const float* a, const float* b, uint32_t n) {
  V acc[4] = {zero(), zero(), zero(), zero()};
  uint32_t i = 0;
  for (; i + 64 <= n; i += 64)
    for (int j = 0; j < 4; ++j) acc[j] = acc[j] + load(a + i + 16 * j) * load(b + i + 16 * j);
  for (int j = 0; i < n; i += 16, ++j) {
    const uint32_t rest = n - i;
    acc[j] = acc[j] + load_n(a + i, rest) * load_n(b + i, rest);
  }
  return sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

}  // namespace sk::SK_ISA
