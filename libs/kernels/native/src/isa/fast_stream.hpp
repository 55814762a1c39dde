// Decode of `fast`: rows streamed from memory, one token at a time. The including file gives Terms,
// a vector of kTerms floats; load_floats, load_scales, store_floats and add_terms over it; and
// row_dots, the dot products of up to kTerms groups of some rows.
#pragma once
#include "isa/fast_rows.hpp"

namespace sk::SK_ISA {

constexpr uint32_t kBlocksPerTask = 8;
constexpr uint32_t kStretch = 4;  // vectors of terms of a row computed in one go

// Up to kTerms rows, of which row i lies at packed[i] and is row rows[i] of the matrix.
struct StreamBlock {
  const uint8_t* packed[kTerms];
  uint32_t rows[kTerms];
  uint32_t count;
};

// Terms of up to kTerms groups of Rows rows, which lie at packed[r] and whose first group of all is
// first[r]; q, d and s belong to these groups.
template <bool Nibbles, int GroupSize, int Rows, bool Full>
SK_INLINE void row_terms(const MatrixRows& w, const uint8_t* const* packed, const uint64_t* first,
                         uint32_t count, const int8_t* q, Terms d, Terms s,
                         float (*terms)[kTerms]) {
  Terms dots[Rows];
  row_dots<Nibbles, GroupSize, Rows, Full>(packed, count, q, dots);
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
    const uint64_t at = first[r];
    __builtin_prefetch(w.scales + at * 2 + kAhead / 16);
    __builtin_prefetch(w.biases + at * 2 + kAhead / 16);
    const Terms scale = load_scales(w.scales, at, count, w.type);
    const Terms bias = load_scales(w.biases, at, count, w.type);
    store_floats(terms[r], scale * d * dots[r] + bias * s);
  }
}

// Terms of kTerms groups from group `at` on, of up to four rows from row r of the block on.
template <bool Nibbles, int GroupSize>
SK_INLINE void stream_terms(const FastLinear& job, const StreamBlock& block, uint32_t token,
                            uint32_t r, uint32_t at, float (*terms)[kTerms]) {
  const MatrixRows& w = job.weight;
  constexpr uint32_t bytes = GroupSize * (Nibbles ? 4 : 8) / 8;
  const uint64_t before = (uint64_t)token * w.groups + at;
  const uint32_t count = w.groups - at < kTerms ? w.groups - at : kTerms;
  const Terms d = load_floats(job.input.d + before, count);
  const Terms s = load_floats(job.input.s + before, count);
  const int8_t* q = job.input.q + (uint64_t)token * job.input.stride + (uint64_t)at * GroupSize;
  const uint32_t rows = block.count - r < 4 ? block.count - r : 4;
  const uint8_t* packed[4];
  uint64_t first[4];
  for (uint32_t i = 0; i < rows; ++i) {
    packed[i] = block.packed[r + i] + (uint64_t)at * bytes;
    first[i] = (uint64_t)block.rows[r + i] * w.groups + at;
  }
  if (rows == 4 && count == kTerms)
    return row_terms<Nibbles, GroupSize, 4, true>(w, packed, first, kTerms, q, d, s, terms);
  for (uint32_t i = 0; i < rows; ++i)
    row_terms<Nibbles, GroupSize, 1, false>(w, packed + i, first + i, count, q, d, s, terms + i);
}

template <bool Nibbles, int GroupSize>
static void stream_token(const FastLinear& job, const StreamBlock& block, uint32_t token) {
  const MatrixRows& w = job.weight;
  alignas(64) float terms[kStretch][kTerms][kTerms];
  Terms acc{};
  for (uint32_t g = 0; g < w.groups; g += kStretch * kTerms) {
    const uint32_t rest = w.groups - g;
    for (uint32_t r = 0; r < block.count; r += 4) {
      for (uint32_t part = 0, at = g; part < kStretch && at < w.groups; ++part, at += kTerms)
        stream_terms<Nibbles, GroupSize>(job, block, token, r, at, terms[part] + r);
    }
    for (uint32_t part = 0; part < kStretch && part * kTerms < rest; ++part) {
      for (uint32_t r = block.count; r < kTerms; ++r) store_floats(terms[part][r], Terms{});
      acc = add_terms(acc, terms[part],
                      rest - part * kTerms < kTerms ? rest - part * kTerms : kTerms);
    }
  }
  alignas(64) float results[kTerms];
  store_floats(results, acc);
  for (uint32_t r = 0; r < block.count; ++r) put_result(job, token, block.rows[r], results[r]);
}

template <bool Nibbles>
static void stream_block_grouped(const FastLinear& job, const StreamBlock& block) {
  for (uint32_t t = 0; t < job.tokens; ++t) {
    if (job.weight.group_size == 32) {
      stream_token<Nibbles, 32>(job, block, t);
    } else if (job.weight.group_size == 64) {
      stream_token<Nibbles, 64>(job, block, t);
    } else {
      stream_token<Nibbles, 128>(job, block, t);
    }
  }
}

static void stream_block(const FastLinear& job, StreamBlock& block, uint8_t* scratch) {
  const MatrixRows& w = job.weight;
  for (uint32_t r = 0; r < block.count; ++r) {
    block.packed[r] = w.data + (uint64_t)block.rows[r] * w.row_bytes;
    if (w.bits == 4 || w.bits == 8) continue;
    uint8_t* plain = scratch + (uint64_t)r * (w.in + 256);
    unpack_row(block.packed[r], w.bits, plain, w.in);
    block.packed[r] = plain;
  }
  if (w.bits == 4) return stream_block_grouped<true>(job, block);
  stream_block_grouped<false>(job, block);
}

static uint32_t stream_tasks(uint32_t out) {
  constexpr uint32_t rows = kBlocksPerTask * kTerms;
  return (out + rows - 1) / rows;
}

// Rows in an order that alternates between the quarters of the matrix: four streams the memory
// system can run ahead on.
static void stream_task(const FastLinear& job, uint32_t task, uint8_t* scratch) {
  const uint32_t out = job.weight.out, quarter = out / 4;
  const uint32_t begin = task * kBlocksPerTask * kTerms;
  const uint32_t end =
      begin + kBlocksPerTask * kTerms < out ? begin + kBlocksPerTask * kTerms : out;
  for (uint32_t at = begin; at < end; at += kTerms) {
    StreamBlock block;
    block.count = end - at < kTerms ? end - at : kTerms;
    for (uint32_t r = 0; r < block.count; ++r) {
      const uint32_t i = at + r;
      block.rows[r] = i < 4 * quarter ? i / 4 + i % 4 * quarter : i;
    }
    stream_block(job, block, scratch);
  }
}

}  // namespace sk::SK_ISA
