// The specification of `fast`: what every instruction set must reproduce bit for bit.
//   d = max|x| / 127 of the group, q = round_to_even(x * (127 / max|x|)), s = d * sum(q)
//   y[row] = sum over groups in order of ((scale * d) * dot(w, q) + bias * s)   (+ bias of the op)
// dot and sum are integers and therefore exact; each float operation rounds on its own. A NaN or an
// infinity makes NaN of s and with it of every row: it is not lost among the integers.
#pragma once
#include "isa/lanes.hpp"
#include "isa/matrix_ops.hpp"

namespace sk::SK_ISA {

constexpr uint32_t kChunk = 128;

// Where element i of a row of activations is kept.
SK_INLINE uint32_t quant_position(uint32_t i, QuantLayout layout) {
  if (layout == QuantLayout::natural) return i;
  return (i & ~(kChunk - 1)) + (i & 1) * (kChunk / 2) + (i % kChunk) / 2;
}

SK_INLINE void place_group(const int8_t* values, uint32_t at, uint32_t count, QuantLayout layout,
                           int8_t* q) {
  int8_t* dst = q + quant_position(at, layout);
  if (layout == QuantLayout::natural) {
    memcpy(dst, values, count);
    return;
  }
  for (uint32_t i = 0; i < count / 2; ++i) {
    uint16_t pair;
    memcpy(&pair, values + 2 * i, 2);
    dst[i] = (int8_t)(pair & 0xff);
    dst[kChunk / 2 + i] = (int8_t)(pair >> 8);
  }
}

static void quantize_row(const float* x, uint32_t dim, uint32_t group_size, QuantLayout layout,
                         int8_t* q, uint32_t stride, float* d, float* s) {
  if (stride != dim) memset(q + (dim & ~(kChunk - 1)), 0, stride - (dim & ~(kChunk - 1)));
  for (uint32_t g = 0; g * group_size < dim; ++g) {
    const float* in = x + g * group_size;
    const float amax = largest_magnitude(in, group_size);
    const float inverse = amax > 0.0f ? 127.0f / amax : 0.0f;
    int8_t narrow[128];
    vi sums = {};
    for (uint32_t at = 0; at < group_size; at += 16) {
      const V rounded = load(in + at) * splat(inverse) + splat(12582912.0f);
      int32_t values[16];
      SK_EACH {
        const vi value = (vi)rounded.p[i] << 24 >> 24;  // the low byte, in any case
        sums += value;
        memcpy(values + i * SK_WIDTH, &value, sizeof value);
      }
      for (uint32_t j = 0; j < 16; ++j) narrow[at + j] = (int8_t)values[j];
    }
    int32_t total = 0;
    for (int i = 0; i < SK_WIDTH; ++i) total += sums[i];
    place_group(narrow, g * group_size, group_size, layout, q);
    d[g] = amax / 127.0f;
    s[g] = d[g] * (float)total;
  }
}

SK_INLINE float fast_term(float scale, float bias, float d, float s, int32_t dot) {
  const float scaled = (scale * d) * (float)dot;
  const float shifted = bias * s;
  return scaled + shifted;
}

}  // namespace sk::SK_ISA
