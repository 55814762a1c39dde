// Prefill over panels of 16 rows: unpacked once, then multiplied by all tokens, four at a time. The
// including file says how, in the three functions declared here.
#pragma once
#include "isa/fast_rows.hpp"

namespace sk::SK_ISA {

struct Panel {
  uint8_t* values;  // [in / 4][16 rows][4]
  float* scales;    // [groups][16 rows]
  float* biases;
};

static void pack_values(const MatrixRows& w, uint32_t row, uint32_t rows, uint8_t* dst);
static void pack_scales(const MatrixRows& w, const uint8_t* base, uint32_t row, uint32_t rows,
                        float* dst);
// 16 rows by Tokens tokens, from token `first` on.
template <int Tokens>
static void multiply(const FastLinear& job, const Panel& panel, uint32_t first, uint32_t row,
                     uint32_t rows);

template <int Tokens>
static void multiply_panels(const FastLinear& job, const Panel* panels, uint32_t token,
                            uint32_t row, uint32_t rows) {
  for (uint32_t at = 0; at < rows; at += 16)
    multiply<Tokens>(job, panels[at / 16], token, row + at, rows - at < 16 ? rows - at : 16);
}

static void packed_task(const FastLinear& job, uint32_t task, uint8_t* scratch) {
  const MatrixRows& w = job.weight;
  const uint32_t row = task * kRowsPerTask;
  const uint32_t rows = w.out - row < kRowsPerTask ? w.out - row : kRowsPerTask;
  Panel panels[kRowsPerTask / kPanelRows];
  uint8_t* next = (uint8_t*)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
  for (uint32_t p = 0; p * 16 < rows; ++p) {
    const uint32_t begin = row + p * 16, count = rows - p * 16 < 16 ? rows - p * 16 : 16;
    panels[p].values = next;
    panels[p].scales = (float*)(next + panel_bytes(w));
    panels[p].biases = panels[p].scales + (uint64_t)w.groups * 16;
    next = (uint8_t*)(panels[p].biases + (uint64_t)w.groups * 16);
    pack_values(w, begin, count, panels[p].values);
    pack_scales(w, w.scales, begin, count, panels[p].scales);
    pack_scales(w, w.biases, begin, count, panels[p].biases);
  }
  uint32_t t = 0;
  for (; t + 4 <= job.tokens; t += 4) multiply_panels<4>(job, panels, t, row, rows);
  for (; t < job.tokens; ++t) multiply_panels<1>(job, panels, t, row, rows);
}

}  // namespace sk::SK_ISA
