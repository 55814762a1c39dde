// What the vectorised `fast` paths share: how rows are dealt out, and where results go. A path
// gives stream_tasks, stream_task and packed_task.
#pragma once
#include "isa/fast_ops.hpp"

namespace sk::SK_ISA {

constexpr uint32_t kFewTokens = 3;  // up to here rows are streamed; above, packed and reused
constexpr uint32_t kPanelRows = 16;
constexpr uint32_t kRowsPerTask = 32;  // packed, they stay in the L2 cache

static uint32_t stream_tasks(uint32_t out);
static void stream_task(const FastLinear& job, uint32_t task, uint8_t* scratch);
static void packed_task(const FastLinear& job, uint32_t task, uint8_t* scratch);

static uint32_t fast_tasks(const FastLinear& job) {
  const uint32_t out = job.weight.out;
  if (job.tokens > kFewTokens) return (out + kRowsPerTask - 1) / kRowsPerTask;
  return stream_tasks(out);
}

static void fast_task(const FastLinear& job, uint32_t task, uint8_t* scratch) {
  if (job.tokens > kFewTokens) return packed_task(job, task, scratch);
  stream_task(job, task, scratch);
}

SK_INLINE void put_result(const FastLinear& job, uint32_t token, uint32_t row, float value) {
  float& out = job.output[(uint64_t)token * job.weight.out + row];
  out = job.bias != nullptr ? value + job.bias[row] : value;
}

SK_INLINE uint32_t group_bytes(const MatrixRows& w) { return w.group_size / 8 * w.bits; }

static uint64_t panel_bytes(const MatrixRows& w) { return (uint64_t)w.in * kPanelRows; }

static uint64_t fast_scratch_bytes(const MatrixRows& w) {
  const uint64_t panels = kRowsPerTask / kPanelRows;
  const uint64_t scales = (uint64_t)(w.groups + 16) * kPanelRows * sizeof(float) * 2;
  const uint64_t unpacked = kPanelRows * ((uint64_t)w.in + 256);
  return panels * (panel_bytes(w) + scales) + unpacked + 4096;
}

}  // namespace sk::SK_ISA
