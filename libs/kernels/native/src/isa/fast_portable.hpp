// `fast` in plain C++: the reference for the other instruction sets.
#pragma once
#include "isa/fast_ops.hpp"

namespace sk::SK_ISA {

constexpr uint32_t kPortableRows = 32;

static uint32_t fast_tasks(const FastLinear& job) {
  return (job.weight.out + kPortableRows - 1) / kPortableRows;
}

static uint64_t fast_scratch_bytes(const MatrixRows& weight) {
  return ((uint64_t)weight.in + kChunk) * 2;
}

static void fast_row(const FastLinear& job, uint32_t row, uint8_t* scratch) {
  const MatrixRows& w = job.weight;
  const QuantLayout layout = w.bits == 4 ? QuantLayout::split : QuantLayout::natural;
  uint8_t* plain = scratch;
  uint8_t* placed = scratch + w.in + kChunk;
  unpack_row(w.data + (uint64_t)row * w.row_bytes, w.bits, plain, w.in);
  if (layout == QuantLayout::natural) {
    placed = plain;
  } else {
    for (uint32_t i = 0; i < w.in; ++i) placed[quant_position(i, layout)] = plain[i];
  }
  const uint32_t half = w.group_size / 2;
  const uint32_t step = layout == QuantLayout::split ? kChunk / 2 : half;
  const uint64_t first_group = (uint64_t)row * w.groups;
  for (uint32_t t = 0; t < job.tokens; ++t) {
    const int8_t* q = job.input.q + (uint64_t)t * job.input.stride;
    const float* d = job.input.d + (uint64_t)t * w.groups;
    const float* s = job.input.s + (uint64_t)t * w.groups;
    float acc = 0.0f;
    for (uint32_t g = 0; g < w.groups; ++g) {
      const uint32_t at = quant_position(g * w.group_size, layout);
      int32_t total = 0;
      for (uint32_t i = 0; i < half; ++i) total += placed[at + i] * q[at + i];
      for (uint32_t i = at + step; i < at + step + half; ++i) total += placed[i] * q[i];
      const float scale = load_scalar(w.scales, first_group + g, w.type);
      const float bias = load_scalar(w.biases, first_group + g, w.type);
      acc = acc + fast_term(scale, bias, d[g], s[g], total);
    }
    job.output[(uint64_t)t * w.out + row] = job.bias != nullptr ? acc + job.bias[row] : acc;
  }
}

static void fast_task(const FastLinear& job, uint32_t task, uint8_t* scratch) {
  const uint32_t begin = task * kPortableRows;
  const uint32_t end =
      begin + kPortableRows < job.weight.out ? begin + kPortableRows : job.weight.out;
  for (uint32_t row = begin; row < end; ++row) fast_row(job, row, scratch);
}

}  // namespace sk::SK_ISA
