// Prefill with AMX int8 over another instruction set, whose fast_tasks, fast_task and
// fast_scratch_bytes serve small batches. 64 rows are unpacked and transposed so that a tile holds
// four elements of 16 rows per line; the activations are the other factor as they lie. A block of
// 32 tokens by 32 rows is summed per group in four tiles and added to the totals in lanes.
#pragma once
#include "isa/fast_ops.hpp"
// The tiles come after the lanes, whose macros they use.
#include "isa/amx_tile.hpp"

namespace sk::SK_ISA {

constexpr uint32_t kAmxTokens = 16;  // from here on
constexpr uint32_t kAmxRows = 64;    // of a task
constexpr uint32_t kAmxBlock = 32;   // tokens, and rows, of four sum tiles

typedef uint8_t Line __attribute__((vector_size(64)));

struct AmxPanels {
  uint8_t* values;  // [panel of 16 rows][in / 4][16 rows][4]
  float* scales;    // [panel][groups][scale, bias][16 rows]
};

SK_INLINE void transpose_lines(Line* lines) {
#if defined(__AVX512F__)
  __m512i r[16];
  memcpy(r, lines, sizeof r);
  transpose16(r);
  memcpy(lines, r, sizeof r);
#else
  uint32_t words[16][16];
  memcpy(words, lines, sizeof words);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < i; ++j) {
      const uint32_t word = words[i][j];
      words[i][j] = words[j][i];
      words[j][i] = word;
    }
  memcpy(lines, words, sizeof words);
#endif
}

// 16 rows; rows past the end are zero.
static void amx_pack_values(const MatrixRows& w, uint32_t row, uint32_t rows, uint8_t* dst) {
  const bool nibbles = w.bits == 4;
  const uint32_t words = nibbles ? w.in / 8 : w.in / 4, group_words = w.group_size / 8;
  for (uint32_t first = 0; first < words; first += 16) {
    const uint32_t count = words - first < 16 ? words - first : 16;
    Line lines[16];
    for (uint32_t r = 0; r < 16; ++r) {
      lines[r] = Line{};
      if (r >= rows) continue;
      const uint8_t* from = w.data + (uint64_t)(row + r) * w.row_bytes;
      if (nibbles || w.bits == 8) {
        memcpy(&lines[r], from + (uint64_t)first * 4, count * 4);
      } else {
        unpack_row(from + (uint64_t)first / 2 * w.bits, w.bits, (uint8_t*)&lines[r], count * 4);
      }
    }
    transpose_lines(lines);
    for (uint32_t i = 0; i < count; ++i) {
      if (!nibbles) {
        memcpy(dst + (uint64_t)(first + i) * 64, &lines[i], 64);
        continue;
      }
      const uint32_t group = (first + i) / group_words, word = (first + i) % group_words;
      uint8_t* even = dst + ((uint64_t)group * 2 * group_words + word) * 64;
      const Line low = lines[i] & 15, high = lines[i] >> 4;
      memcpy(even, &low, 64);
      memcpy(even + (uint64_t)group_words * 64, &high, 64);
    }
  }
}

SK_INLINE V load_scale_lanes(const uint8_t* base, uint64_t first, uint32_t count, FloatType type) {
  if (type == FloatType::f16 || count < 16) {
    float part[16] = {};
    for (uint32_t i = 0; i < count; ++i) part[i] = load_scalar(base, first + i, type);
    return load(part);
  }
  V r;
  if (type == FloatType::f32) {
    memcpy(&r, base + first * 4, sizeof r);
    return r;
  }
  uint16_t halves[16];
  uint32_t words[16];
  memcpy(halves, base + first * 2, sizeof halves);
  for (int i = 0; i < 16; ++i) words[i] = (uint32_t)halves[i] << 16;
  memcpy(&r, words, sizeof r);
  return r;
}

static void amx_pack_scales(const MatrixRows& w, const uint8_t* base, uint32_t row, uint32_t rows,
                            float* dst) {
  for (uint32_t g = 0; g < w.groups; g += 16) {
    const uint32_t count = w.groups - g < 16 ? w.groups - g : 16;
    Line lines[16];
    for (uint32_t r = 0; r < 16; ++r) {
      const V line = r < rows
                         ? load_scale_lanes(base, (uint64_t)(row + r) * w.groups + g, count, w.type)
                         : zero();
      memcpy(&lines[r], &line, sizeof line);
    }
    transpose_lines(lines);
    for (uint32_t i = 0; i < count; ++i) memcpy(dst + (uint64_t)(g + i) * 32, &lines[i], 64);
  }
}

SK_INLINE uint64_t amx_values_bytes(const MatrixRows& w) { return (uint64_t)w.in * 16; }
SK_INLINE uint64_t amx_scale_floats(const MatrixRows& w) { return (uint64_t)w.groups * 32; }

static AmxPanels amx_pack(const MatrixRows& w, uint32_t row, uint32_t rows, uint8_t* scratch) {
  AmxPanels panels;
  panels.values = (uint8_t*)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
  panels.scales = (float*)(panels.values + amx_values_bytes(w) * (kAmxRows / 16));
  for (uint32_t at = 0; at < rows; at += 16) {
    const uint32_t count = rows - at < 16 ? rows - at : 16;
    float* scales = panels.scales + amx_scale_floats(w) * (at / 16);
    amx_pack_values(w, row + at, count, panels.values + amx_values_bytes(w) * (at / 16));
    amx_pack_scales(w, w.scales, row + at, count, scales);
    amx_pack_scales(w, w.biases, row + at, count, scales + 16);
  }
  return panels;
}

// How a group's elements lie: in `parts` runs of `bytes`, `apart` from each other.
struct AmxParts {
  QuantLayout layout;
  uint32_t parts;
  uint32_t bytes;
  uint32_t apart;
};

SK_INLINE AmxParts amx_parts(const MatrixRows& w) {
  const uint32_t half = w.group_size / 2;
  if (w.bits == 4) return {QuantLayout::split, 2, half, kChunk / 2};
  if (w.group_size <= kTileRowBytes) return {QuantLayout::natural, 1, w.group_size, 0};
  return {QuantLayout::natural, 2, half, half};
}

// Tiles 0..3: sums of (first, second 16 tokens) x (first, second 16 rows); 4, 5: activations;
// 6, 7: weights.
static void amx_configure(const AmxParts& parts, uint32_t tokens) {
  const uint32_t low = tokens < 16 ? tokens : 16, high = tokens - low;
  TileConfig config;
  config.shape(0, low, 64), config.shape(1, low, 64);
  config.shape(2, high, 64), config.shape(3, high, 64);
  config.shape(4, low, parts.bytes), config.shape(5, high, parts.bytes);
  config.shape(6, parts.bytes / 4, 64), config.shape(7, parts.bytes / 4, 64);
  tile_configure(config);
}

// One group's integer dot products: sums[tile][token][row].
template <bool High>
SK_INLINE void amx_group(const AmxParts& parts, const int8_t* q, uint64_t stride,
                         const uint8_t* first, const uint8_t* second, int32_t (*sums)[16][16]) {
  tile_zero<0>(), tile_zero<1>();
  if constexpr (High) tile_zero<2>(), tile_zero<3>();
  for (uint32_t part = 0; part < parts.parts; ++part) {
    const uint64_t at = (uint64_t)part * parts.bytes * 16;
    const int8_t* in = q + part * parts.apart;
    tile_load<4>(in, stride);
    tile_load<6>(first + at, 64);
    tile_dot<0, 4, 6>();
    tile_load<7>(second + at, 64);
    tile_dot<1, 4, 7>();
    if constexpr (High) {
      tile_load<5>(in + 16 * stride, stride);
      tile_dot<2, 5, 6>();
      tile_dot<3, 5, 7>();
    }
  }
  tile_store<0>(sums[0], 64), tile_store<1>(sums[1], 64);
  if constexpr (High) tile_store<2>(sums[2], 64), tile_store<3>(sums[3], 64);
}

SK_INLINE V to_float(const int32_t* x) {
  V r;
  SK_EACH {
    vi part;
    memcpy(&part, x + i * SK_WIDTH, sizeof part);
    r.p[i] = __builtin_convertvector(part, vf);
  }
  return r;
}

// Up to 32 tokens by two panels; an odd last panel is multiplied with itself and dropped.
template <bool High>
static void amx_block(const FastLinear& job, const AmxPanels& panels, uint32_t token,
                      uint32_t tokens, uint32_t row, uint32_t at, uint32_t rows) {
  const MatrixRows& w = job.weight;
  const AmxParts parts = amx_parts(w);
  const uint32_t pair[2] = {at / 16, at + 16 < rows ? at / 16 + 1 : at / 16};
  const uint64_t stride = job.input.stride;
  const int8_t* q = job.input.q + (uint64_t)token * stride;
  alignas(64) float totals[kAmxBlock][2][16] = {};
  alignas(64) int32_t sums[4][16][16];
  for (uint32_t g = 0; g < w.groups; ++g) {
    const uint64_t values = (uint64_t)g * w.group_size * 16;
    amx_group<High>(parts, q + quant_position(g * w.group_size, parts.layout), stride,
                    panels.values + amx_values_bytes(w) * pair[0] + values,
                    panels.values + amx_values_bytes(w) * pair[1] + values, sums);
    for (uint32_t p = 0; p < 2; ++p) {
      const float* scales = panels.scales + amx_scale_floats(w) * pair[p] + (uint64_t)g * 32;
      const V scale = load(scales), bias = load(scales + 16);
      for (uint32_t t = 0; t < tokens; ++t) {
        const uint64_t group = (uint64_t)(token + t) * w.groups + g;
        const V scaled =
            (scale * splat(job.input.d[group])) * to_float(sums[t / 16 * 2 + p][t % 16]);
        const V shifted = bias * splat(job.input.s[group]);
        store(totals[t][p], load(totals[t][p]) + (scaled + shifted));
      }
    }
  }
  for (uint32_t t = 0; t < tokens; ++t) {
    for (uint32_t r = 0; r < 32 && at + r < rows; ++r)
      put_result(job, token + t, row + at + r, totals[t][r / 16][r % 16]);
  }
}

static uint32_t amx_tasks(const FastLinear& job) {
  if (job.tokens < kAmxTokens) return fast_tasks(job);
  return (job.weight.out + kAmxRows - 1) / kAmxRows;
}

static uint64_t amx_scratch_bytes(const MatrixRows& w) {
  const uint64_t packed = (amx_values_bytes(w) + amx_scale_floats(w) * 4) * (kAmxRows / 16) + 64;
  const uint64_t base = fast_scratch_bytes(w);
  return packed > base ? packed : base;
}

static void amx_task(const FastLinear& job, uint32_t task, uint8_t* scratch) {
  if (job.tokens < kAmxTokens) return fast_task(job, task, scratch);
  const uint32_t row = task * kAmxRows;
  const uint32_t rows = job.weight.out - row < kAmxRows ? job.weight.out - row : kAmxRows;
  const AmxPanels panels = amx_pack(job.weight, row, rows, scratch);
  const AmxParts parts = amx_parts(job.weight);
  uint32_t configured = 0;
  for (uint32_t t = 0; t < job.tokens; t += kAmxBlock) {
    const uint32_t count = job.tokens - t < kAmxBlock ? job.tokens - t : kAmxBlock;
    if (count != configured) amx_configure(parts, count);
    configured = count;
    for (uint32_t at = 0; at < rows; at += 32) {
      if (count > 16) {
        amx_block<true>(job, panels, t, count, row, at, rows);
      } else {
        amx_block<false>(job, panels, t, count, row, at, rows);
      }
    }
  }
  tile_release();  // or every switch of threads would save eight kilobytes
}

}  // namespace sk::SK_ISA
