// What the vectorised `fast` paths share: how rows are dealt out, and scales in memory order.
#pragma once
#include "isa/fast_ops.hpp"

namespace sk::SK_ISA {

constexpr uint32_t kFewTokens = 3;  // up to here rows are streamed; above, packed and reused
constexpr uint32_t kQuadsPerTask = 32;
constexpr uint32_t kPanelRows = 16;
constexpr uint32_t kRowsPerTask = 32;  // packed, they stay in the L2 cache

static uint32_t fast_tasks(const FastLinear& job) {
  const uint32_t out = job.weight.out;
  if (job.tokens > kFewTokens) return (out + kRowsPerTask - 1) / kRowsPerTask;
  const uint32_t quads = out / 4;
  return quads == 0 ? 1 : (quads + kQuadsPerTask - 1) / kQuadsPerTask;
}

SK_INLINE uint32_t group_bytes(const MatrixRows& w) { return w.group_size / 8 * w.bits; }

static uint64_t panel_bytes(const MatrixRows& w) { return (uint64_t)w.in * kPanelRows; }

static uint64_t fast_scratch_bytes(const MatrixRows& w) {
  const uint64_t panels = kRowsPerTask / kPanelRows;
  const uint64_t scales = (uint64_t)(w.groups + 16) * kPanelRows * sizeof(float) * 2;
  const uint64_t unpacked = 4 * ((uint64_t)w.in + 256);
  return panels * (panel_bytes(w) + scales) + unpacked + 4096;
}

static void stream_rows(const FastLinear& job, const uint32_t* rows, uint32_t count,
                        uint8_t* scratch);

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
