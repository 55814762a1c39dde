// Rows of weights as f32, and f32 matrix products: the `exact` path, and dense weights in `fast`.
#pragma once
#include "isa/lanes.hpp"

namespace sk::SK_ISA {

// Eight integers of Bits bits, little end first, to a byte each: halves are moved apart, then the
// halves of these, then theirs.
template <int Bits>
SK_INLINE uint64_t spread_eight(uint64_t x) {
  constexpr uint64_t one = (1u << Bits) - 1, two = one | one << Bits, four = two | two << 2 * Bits;
  constexpr uint64_t twos = two * 0x0000000100000001ull, ones = one * 0x0001000100010001ull;
  x = (x & four) | (x >> 4 * Bits & four) << 32;
  x = (x & twos) | (x >> 2 * Bits & twos) << 16;
  return (x & ones) | (x >> Bits & ones) << 8;
}

template <int Bits>
static void unpack_bits(const uint8_t* packed, uint8_t* dst, uint32_t count) {
  uint32_t i = 0;
  for (; i + 32 <= count; i += 8, packed += Bits) {  // eight bytes can be read: 32 need as many
    uint64_t word;
    memcpy(&word, packed, 8);
    word = spread_eight<Bits>(word);
    memcpy(dst + i, &word, 8);
  }
  for (; i < count; i += 8, packed += Bits) {
    uint64_t word = 0;
    memcpy(&word, packed, Bits);
    word = spread_eight<Bits>(word);
    memcpy(dst + i, &word, 8);
  }
}

// `count` integers, a multiple of eight, of 2, 3, 4, 5, 6 or 8 bits.
static void unpack_row(const uint8_t* packed, uint32_t bits, uint8_t* dst, uint32_t count) {
  switch (bits) {
    case 2:
      return unpack_bits<2>(packed, dst, count);
    case 3:
      return unpack_bits<3>(packed, dst, count);
    case 4:
      return unpack_bits<4>(packed, dst, count);
    case 5:
      return unpack_bits<5>(packed, dst, count);
    case 6:
      return unpack_bits<6>(packed, dst, count);
    default:
      memcpy(dst, packed, count);
  }
}

static void load_quantized_row(const MatrixRows& m, uint32_t row, float* dst) {
  const uint8_t* packed = m.data + (uint64_t)row * m.row_bytes;
  const uint64_t first_group = (uint64_t)row * m.groups;
  const uint32_t group_bytes = m.group_size / 8 * m.bits;
  for (uint32_t g = 0; g < m.groups; ++g) {
    uint8_t q[128];
    unpack_row(packed + (uint64_t)g * group_bytes, m.bits, q, m.group_size);
    const float scale = load_scalar(m.scales, first_group + g, m.type);
    const float bias = load_scalar(m.biases, first_group + g, m.type);
    float* out = dst + (uint64_t)g * m.group_size;
    for (uint32_t i = 0; i < m.group_size; ++i) {
      const float scaled = scale * (float)q[i];
      out[i] = scaled + bias;
    }
  }
}

static void load_row(const MatrixRows& m, uint32_t row, float* dst) {
  if (m.bits != 0) return load_quantized_row(m, row, dst);
  const uint8_t* src = m.data + (uint64_t)row * m.row_bytes;
  if (m.type == FloatType::f32) {
    memcpy(dst, src, (uint64_t)m.in * 4);
  } else if (m.type == FloatType::bf16) {
    for (uint32_t i = 0; i < m.in; ++i) {
      uint16_t h;
      memcpy(&h, src + (uint64_t)i * 2, 2);
      dst[i] = bits_to_float((uint32_t)h << 16);
    }
  } else {
    for (uint32_t i = 0; i < m.in; i += 16) {
      const uint32_t n = m.in - i;
      uint16_t h[16] = {};
      memcpy(h, src + (uint64_t)i * 2, (n < 16 ? n : 16) * 2);
      store_n(dst + i, load_half(h), n);
    }
  }
}

// Each result is one chain over 16 lanes, whatever tile it is part of.
template <int Rows, int Tokens>
SK_INLINE void matmul_tile(const float* w, const float* x, uint32_t dim, const float* bias,
                           float* y, uint64_t y_stride) {
  V acc[Rows][Tokens];
  for (int r = 0; r < Rows; ++r)
    for (int t = 0; t < Tokens; ++t) acc[r][t] = zero();
  uint32_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    V xs[Tokens];
    for (int t = 0; t < Tokens; ++t) xs[t] = load(x + (uint64_t)t * dim + i);
    for (int r = 0; r < Rows; ++r) {
      const V ws = load(w + (uint64_t)r * dim + i);
      for (int t = 0; t < Tokens; ++t) acc[r][t] = acc[r][t] + ws * xs[t];
    }
  }
  if (i < dim) {
    const uint32_t n = dim - i;
    for (int r = 0; r < Rows; ++r)
      for (int t = 0; t < Tokens; ++t)
        acc[r][t] =
            acc[r][t] + load_n(w + (uint64_t)r * dim + i, n) * load_n(x + (uint64_t)t * dim + i, n);
  }
  for (int r = 0; r < Rows; ++r)
    for (int t = 0; t < Tokens; ++t) {
      const float value = sum(acc[r][t]);
      y[(uint64_t)t * y_stride + r] = bias != nullptr ? value + bias[r] : value;
    }
}

template <int Rows>
static void matmul_rows(const float* w, const float* x, uint32_t tokens, uint32_t dim,
                        const float* bias, float* y, uint64_t y_stride) {
  constexpr int tile = SK_PARTS == 1 ? 4 : SK_PARTS == 2 ? 2 : 1;
  uint32_t t = 0;
  for (; t + tile <= tokens; t += tile)
    matmul_tile<Rows, tile>(w, x + (uint64_t)t * dim, dim, bias, y + t * y_stride, y_stride);
  for (; t < tokens; ++t)
    matmul_tile<Rows, 1>(w, x + (uint64_t)t * dim, dim, bias, y + t * y_stride, y_stride);
}

static void matmul(const float* w, uint32_t rows, const float* x, uint32_t tokens, uint32_t dim,
                   const float* bias, float* y, uint64_t y_stride) {
  constexpr uint32_t tile = SK_PARTS == 1 ? 4 : 2;
  uint32_t r = 0;
  for (; r + tile <= rows; r += tile)
    matmul_rows<tile>(w + (uint64_t)r * dim, x, tokens, dim, bias ? bias + r : nullptr, y + r,
                      y_stride);
  for (; r < rows; ++r)
    matmul_rows<1>(w + (uint64_t)r * dim, x, tokens, dim, bias ? bias + r : nullptr, y + r,
                   y_stride);
}

static float row_max(const float* x, uint64_t count) {
  V top = splat(-__builtin_inff());
  uint64_t i = 0;
  for (; i + 16 <= count; i += 16) top = max(top, load(x + i));
  float best = largest(top);
  for (; i < count; ++i) best = larger(best, x[i]);
  return best;
}

static float exp_row(const float* x, float shift, float scale, float* dst, uint64_t count) {
  V total = zero();
  for (uint64_t i = 0; i < count; i += 16) {
    const uint32_t n = count - i < 16 ? (uint32_t)(count - i) : 16;
    V e = exp((load_n(x + i, n) - splat(shift)) * splat(scale));
    store_n(dst + i, e, n);
    total = total + load_n(dst + i, n);
  }
  return sum(total);
}

static float sum_exp(const float* x, float shift, uint64_t count) {
  V total = zero();
  for (uint64_t i = 0; i < count; i += 16) {
    float e[16] = {};
    const uint32_t n = count - i < 16 ? (uint32_t)(count - i) : 16;
    store_n(e, exp(load_n(x + i, n) - splat(shift)), n);
    total = total + load(e);
  }
  return sum(total);
}

static void exp_values(const float* x, float* dst, uint64_t count) {
  for (uint64_t i = 0; i < count; i += 16) {
    const uint32_t n = count - i < 16 ? (uint32_t)(count - i) : 16;
    store_n(dst + i, exp(load_n(x + i, n)), n);
  }
}

}  // namespace sk::SK_ISA
