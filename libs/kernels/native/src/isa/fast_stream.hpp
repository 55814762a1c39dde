// Decode of `fast`: rows streamed from memory, one token at a time. The including file gives Terms,
// a vector of kTerms floats, and load_floats, row_terms and add_terms over it.
#pragma once
#include "isa/fast_ops.hpp"

namespace sk::SK_ISA {

template <bool Nibbles, int GroupSize, int Rows>
static void stream_token(const FastLinear& job, const uint8_t* const* packed, const uint32_t* rows,
                         uint32_t token) {
  const MatrixRows& w = job.weight;
  const int8_t* q = job.input.q + (uint64_t)token * job.input.stride;
  const float* d = job.input.d + (uint64_t)token * w.groups;
  const float* s = job.input.s + (uint64_t)token * w.groups;
  constexpr uint32_t bytes = GroupSize * (Nibbles ? 4 : 8) / 8;
  __m128 acc = _mm_setzero_ps();
  for (uint32_t g = 0; g < w.groups; g += kTerms) {
    const uint32_t count = w.groups - g < kTerms ? w.groups - g : kTerms;
    const Terms ds = load_floats(d + g, count), ss = load_floats(s + g, count);
    Terms terms[4];
    for (int r = 0; r < 4; ++r)
      terms[r] = r < Rows ? row_terms<Nibbles, GroupSize>(
                                w, packed[r] + (uint64_t)g * bytes, q + (uint64_t)g * GroupSize,
                                (uint64_t)rows[r] * w.groups + g, count, ds, ss)
                          : Terms{};
    acc = add_terms(acc, terms, count);
  }
  float results[4];
  _mm_storeu_ps(results, acc);
  for (int r = 0; r < Rows; ++r)
    job.output[(uint64_t)token * w.out + rows[r]] =
        job.bias != nullptr ? results[r] + job.bias[rows[r]] : results[r];
}

template <bool Nibbles, int GroupSize>
static void stream_rows_sized(const FastLinear& job, const uint8_t* const* packed,
                              const uint32_t* rows, uint32_t count) {
  for (uint32_t t = 0; t < job.tokens; ++t) {
    if (count == 4) {
      stream_token<Nibbles, GroupSize, 4>(job, packed, rows, t);
    } else {
      stream_token<Nibbles, GroupSize, 1>(job, packed, rows, t);
    }
  }
}

template <bool Nibbles>
static void stream_rows_grouped(const FastLinear& job, const uint8_t* const* packed,
                                const uint32_t* rows, uint32_t count) {
  switch (job.weight.group_size) {
    case 32:
      return stream_rows_sized<Nibbles, 32>(job, packed, rows, count);
    case 64:
      return stream_rows_sized<Nibbles, 64>(job, packed, rows, count);
    default:
      return stream_rows_sized<Nibbles, 128>(job, packed, rows, count);
  }
}

static void stream_rows(const FastLinear& job, const uint32_t* rows, uint32_t count,
                        uint8_t* scratch) {
  const MatrixRows& w = job.weight;
  const uint8_t* packed[4];
  for (uint32_t r = 0; r < count; ++r) {
    packed[r] = w.data + (uint64_t)rows[r] * w.row_bytes;
    if (w.bits == 4 || w.bits == 8) continue;
    uint8_t* plain = scratch + (uint64_t)r * (w.in + 256);
    unpack_row(packed[r], w.bits, plain, w.in);
    packed[r] = plain;
  }
  if (w.bits == 4) return stream_rows_grouped<true>(job, packed, rows, count);
  stream_rows_grouped<false>(job, packed, rows, count);
}

}  // namespace sk::SK_ISA
