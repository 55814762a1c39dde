// `fast` with NEON. Its dot products take signed bytes on both sides: nibbles are small enough;
// wider weights are lowered by 128 and the sum of the activations, times 128, is added back.
#pragma once
#include <arm_neon.h>

#include "isa/fast_rows.hpp"

namespace sk::SK_ISA {

constexpr uint32_t kQuadsPerTask = 32;

SK_INLINE int8x16_t low_nibbles(uint8x16_t v) {
  return vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15)));
}
SK_INLINE int8x16_t high_nibbles(uint8x16_t v) { return vreinterpretq_s8_u8(vshrq_n_u8(v, 4)); }
SK_INLINE int8x16_t lowered(uint8x16_t v) {
  return vreinterpretq_s8_u8(veorq_u8(v, vdupq_n_u8(128)));
}

// Adds 16 products; only the sum over the lanes is defined.
SK_INLINE int32x4_t dot16(int32x4_t acc, int8x16_t w, int8x16_t q) {
#if SK_NEON_DOTPROD
  return vdotq_s32(acc, w, q);
#else
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(q));
  return vpadalq_s16(acc, vmlal_s8(low, vget_high_s8(w), vget_high_s8(q)));  // <= 2 * 128 * 127
#endif
}

SK_INLINE float32x4_t load_scales(const uint8_t* base, uint64_t first, uint32_t count,
                                  FloatType type) {
  if (count < 4) {
    float part[4] = {};
    for (uint32_t i = 0; i < count; ++i) part[i] = load_scalar(base, first + i, type);
    return vld1q_f32(part);
  }
  if (type == FloatType::f32) return vreinterpretq_f32_u8(vld1q_u8(base + first * 4));
  const uint16x4_t halves = vreinterpret_u16_u8(vld1_u8(base + first * 2));
  if (type == FloatType::f16) return vcvt_f32_f16(vreinterpret_f16_u16(halves));
  return vreinterpretq_f32_u32(vshll_n_u16(halves, 16));
}

SK_INLINE void transpose4(uint32x4_t* r) {
  const uint64x2_t a = vreinterpretq_u64_u32(vtrn1q_u32(r[0], r[1]));
  const uint64x2_t b = vreinterpretq_u64_u32(vtrn2q_u32(r[0], r[1]));
  const uint64x2_t c = vreinterpretq_u64_u32(vtrn1q_u32(r[2], r[3]));
  const uint64x2_t d = vreinterpretq_u64_u32(vtrn2q_u32(r[2], r[3]));
  r[0] = vreinterpretq_u32_u64(vtrn1q_u64(a, c));
  r[1] = vreinterpretq_u32_u64(vtrn1q_u64(b, d));
  r[2] = vreinterpretq_u32_u64(vtrn2q_u64(a, c));
  r[3] = vreinterpretq_u32_u64(vtrn2q_u64(b, d));
}

// scales[g] = those of group first + g of four rows, for up to four groups.
SK_INLINE void load_scale_columns(const MatrixRows& w, const uint8_t* base, const uint32_t* rows,
                                  uint32_t first, uint32_t count, float32x4_t* scales) {
  uint32x4_t lines[4];
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r)
    lines[r] = vreinterpretq_u32_f32(
        load_scales(base, (uint64_t)rows[r] * w.groups + first, count, w.type));
  transpose4(lines);
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) scales[g] = vreinterpretq_f32_u32(lines[g]);
}

// One group of four rows: the four dot products. `at` is the group's offset in the packed rows, q
// its activations.
template <bool Nibbles, int GroupSize>
SK_INLINE int32x4_t group_dots(const uint8_t* const* packed, uint64_t at, const int8_t* q) {
  int32x4_t acc[4] = {};
  int32x4_t total = vdupq_n_s32(0);
#pragma GCC unroll 8
  for (int i = 0; i < GroupSize / (Nibbles ? 32 : 16); ++i) {
    const int8x16_t first = vld1q_s8(q + 16 * i);
    if constexpr (!Nibbles) total = dot16(total, vdupq_n_s8(1), first);
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const uint8_t* p = packed[r] + at + 16 * i;
      __builtin_prefetch(p + 1024);
      const uint8x16_t value = vld1q_u8(p);
      if constexpr (Nibbles) {
        acc[r] = dot16(acc[r], low_nibbles(value), first);
        acc[r] = dot16(acc[r], high_nibbles(value), vld1q_s8(q + 16 * i + kChunk / 2));
      } else {
        acc[r] = dot16(acc[r], lowered(value), first);
      }
    }
  }
  const int32x4_t dots = vpaddq_s32(vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3]));
  if constexpr (Nibbles) return dots;
  return vaddq_s32(dots, vdupq_n_s32(vaddvq_s32(total) * 128));
}

template <bool Nibbles, int GroupSize>
static void stream_token(const FastLinear& job, const uint8_t* const* packed, const uint32_t* rows,
                         uint32_t count, uint32_t token) {
  const MatrixRows& w = job.weight;
  const int8_t* q = job.input.q + (uint64_t)token * job.input.stride;
  const float* d = job.input.d + (uint64_t)token * w.groups;
  const float* s = job.input.s + (uint64_t)token * w.groups;
  constexpr uint32_t bytes = GroupSize * (Nibbles ? 4 : 8) / 8;
  constexpr QuantLayout layout = Nibbles ? QuantLayout::split : QuantLayout::natural;
  float32x4_t acc = vdupq_n_f32(0);
  for (uint32_t first = 0; first < w.groups; first += 4) {
    const uint32_t groups = w.groups - first < 4 ? w.groups - first : 4;
    float32x4_t scales[4], biases[4];
    load_scale_columns(w, w.scales, rows, first, groups, scales);
    load_scale_columns(w, w.biases, rows, first, groups, biases);
#pragma GCC unroll 4
    for (uint32_t i = 0; i < 4; ++i) {
      if (i >= groups) break;
      const uint32_t g = first + i;
      const float32x4_t dots = vcvtq_f32_s32(group_dots<Nibbles, GroupSize>(
          packed, (uint64_t)g * bytes, q + quant_position(g * GroupSize, layout)));
      const float32x4_t scaled = vmulq_f32(vmulq_n_f32(scales[i], d[g]), dots);
      acc = vaddq_f32(acc, vaddq_f32(scaled, vmulq_n_f32(biases[i], s[g])));
    }
  }
  float results[4];
  vst1q_f32(results, acc);
  for (uint32_t r = 0; r < count; ++r) put_result(job, token, rows[r], results[r]);
}

template <bool Nibbles, int GroupSize>
static void stream_sized(const FastLinear& job, const uint8_t* const* packed, const uint32_t* rows,
                         uint32_t count) {
  for (uint32_t t = 0; t < job.tokens; ++t)
    stream_token<Nibbles, GroupSize>(job, packed, rows, count, t);
}

template <bool Nibbles>
static void stream_grouped(const FastLinear& job, const uint8_t* const* packed,
                           const uint32_t* rows, uint32_t count) {
  switch (job.weight.group_size) {
    case 32:
      return stream_sized<Nibbles, 32>(job, packed, rows, count);
    case 64:
      return stream_sized<Nibbles, 64>(job, packed, rows, count);
    default:
      return stream_sized<Nibbles, 128>(job, packed, rows, count);
  }
}

// Fewer than four rows are filled up with the first one, whose further results are dropped.
static void stream_rows(const FastLinear& job, const uint32_t* rows, uint32_t count,
                        uint8_t* scratch) {
  const MatrixRows& w = job.weight;
  const uint8_t* packed[4];
  uint32_t filled[4];
  for (uint32_t r = 0; r < 4; ++r) {
    filled[r] = rows[r < count ? r : 0];
    packed[r] = r < count ? w.data + (uint64_t)rows[r] * w.row_bytes : packed[0];
    if (r >= count || w.bits == 4 || w.bits == 8) continue;
    uint8_t* plain = scratch + (uint64_t)r * (w.in + 256);
    unpack_row(packed[r], w.bits, plain, w.in);
    packed[r] = plain;
  }
  if (w.bits == 4) return stream_grouped<true>(job, packed, filled, count);
  stream_grouped<false>(job, packed, filled, count);
}

static uint32_t stream_tasks(uint32_t out) {
  const uint32_t quads = out / 4;
  return quads == 0 ? 1 : (quads + kQuadsPerTask - 1) / kQuadsPerTask;
}

// Four rows a quarter of the matrix apart: four streams the memory system can run ahead on.
static void stream_task(const FastLinear& job, uint32_t task, uint8_t* scratch) {
  const uint32_t out = job.weight.out, quarter = out / 4;
  const uint32_t begin = task * kQuadsPerTask;
  const uint32_t end = begin + kQuadsPerTask < quarter ? begin + kQuadsPerTask : quarter;
  for (uint32_t i = begin; i < end; ++i) {
    const uint32_t rows[4] = {i, i + quarter, i + 2 * quarter, i + 3 * quarter};
    stream_rows(job, rows, 4, scratch);
  }
  if (end < quarter) return;
  for (uint32_t row = 4 * quarter; row < out; ++row) stream_rows(job, &row, 1, scratch);
}

}  // namespace sk::SK_ISA
