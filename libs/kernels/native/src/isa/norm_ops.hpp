// Norms, gates, convolution: everything per row that is not attention or a matrix product.
#pragma once
#include "isa/lanes.hpp"

namespace sk::SK_ISA {

SK_INLINE float inverse_rms(const float* x, float eps, uint32_t dim) {
  return 1.0f / __builtin_sqrtf(dot(x, x, dim) / (float)dim + eps);
}

static void rms_norm(const float* src, const float* weight, float eps, float* dst, uint32_t dim) {
  const V scale = splat(inverse_rms(src, eps, dim));
  for (uint32_t i = 0; i < dim; i += 16) {
    const uint32_t n = dim - i;
    store_n(dst + i, load_n(src + i, n) * scale * load_n(weight + i, n), n);
  }
}

static void add(float* dst, const float* src, uint64_t count) {
  uint64_t i = 0;
  for (; i + 16 <= count; i += 16) store(dst + i, load(dst + i) + load(src + i));
  for (; i < count; ++i) dst[i] = dst[i] + src[i];
}

static void add_rms_norm(float* residual, const float* delta, const float* weight, float eps,
                         float* dst, uint32_t dim) {
  add(residual, delta, dim);
  rms_norm(residual, weight, eps, dst, dim);
}

static void rms_norm_gated(const float* src, const float* gate, const float* weight, float eps,
                           float* dst, uint32_t dim) {
  const V scale = splat(inverse_rms(src, eps, dim));
  for (uint32_t i = 0; i < dim; i += 16) {
    const uint32_t n = dim - i;
    const V x = load_n(src + i, n) * scale * load_n(weight + i, n);
    store_n(dst + i, silu(load_n(gate + i, n)) * x, n);
  }
}

static void l2_norm(const float* src, float eps, float scale, float* dst, uint32_t dim) {
  const V factor = splat(1.0f / __builtin_sqrtf(dot(src, src, dim) + eps) * scale);
  for (uint32_t i = 0; i < dim; i += 16) {
    const uint32_t n = dim - i;
    store_n(dst + i, load_n(src + i, n) * factor, n);
  }
}

static void silu_mul(const float* gate, const float* up, float* dst, uint64_t count) {
  for (uint64_t i = 0; i < count; i += 16) {
    const uint32_t n = count - i < 16 ? (uint32_t)(count - i) : 16;
    store_n(dst + i, silu(load_n(gate + i, n)) * load_n(up + i, n), n);
  }
}

static void delta_gates(const float* a, const float* b, const float* a_scale, const float* dt_bias,
                        float* decay, float* beta, uint32_t heads) {
  for (uint32_t i = 0; i < heads; i += 16) {
    const uint32_t n = heads - i;
    const V step = softplus(load_n(a + i, n) + load_n(dt_bias + i, n));
    store_n(decay + i, exp(zero() - load_n(a_scale + i, n) * step), n);
    store_n(beta + i, sigmoid(load_n(b + i, n)), n);
  }
}

// Row `at` of the tail followed by src.
SK_INLINE const float* conv_row(const ConvSpan& span, uint32_t at) {
  const uint32_t kept = span.taps - 1;
  return at < kept ? span.tail + (uint64_t)at * span.dim
                   : span.src + (uint64_t)(at - kept) * span.dim;
}

// One token; Taps is 0 where it is not known before.
template <uint32_t Taps>
SK_INLINE void conv_token(const ConvSpan& span, uint32_t token, uint32_t begin, uint32_t end) {
  const uint32_t taps = Taps != 0 ? Taps : span.taps;
  float* dst = span.dst + (uint64_t)token * span.dim;
  for (uint32_t c = begin; c < end; c += 16) {
    const uint32_t n = end - c;
    V acc = zero();
    for (uint32_t k = 0; k < taps; ++k) {
      const float* x = conv_row(span, token + k);
      acc = acc + load_n(x + c, n) * load_n(span.weight + (uint64_t)k * span.dim + c, n);
    }
    store_n(dst + c, silu(acc), n);
  }
}

// Channels [begin, end) of one span.
static void conv_silu(const ConvSpan& span, uint32_t begin, uint32_t end) {
  for (uint32_t t = 0; t < span.count; ++t) {
    if (span.taps == 4) {
      conv_token<4>(span, t, begin, end);
    } else {
      conv_token<0>(span, t, begin, end);
    }
  }
  for (uint32_t k = 0; k + 1 < span.taps; ++k)  // in order: row k only depends on later rows
    memmove(span.tail + (uint64_t)k * span.dim + begin, conv_row(span, span.count + k) + begin,
            (end - begin) * sizeof(float));
}

}  // namespace sk::SK_ISA
