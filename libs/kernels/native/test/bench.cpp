#include "bench.hpp"

#include <unistd.h>

#include <algorithm>

namespace same_bits {

namespace {

void digest(uint64_t& hash, const void* data, size_t bytes) {  // FNV-1a
  for (size_t i = 0; i < bytes; ++i)
    hash = (hash ^ static_cast<const uint8_t*>(data)[i]) * 1099511628211ull;
}

}  // namespace

Bench::Bench(const char* isa, uint64_t seed) : engine_(seed) {
  tokens = below(8) == 0 ? between(34, 140) : between(1, 33);  // more than two pages at most
  fast = below(4) != 0;
  const sk_context_options options = {between(1, 2), fast ? SK_MODE_FAST : SK_MODE_EXACT, isa, {}};
  must(sk_context_create(&options, &context_));
  const sk_program_options limits = {400, 400, below(2) ? SK_KV_F16 : SK_KV_F32};
  must(sk_program_begin(context_, &limits, &program));
  note("%s tokens=%u kv=%s", fast ? "fast" : "exact", tokens,
       limits.kv == SK_KV_F16 ? "f16" : "f32");
}

Bench::~Bench() { must(sk_context_free(context_)); }

// Half of all tensors lie in a mapped file, at any offset.
sk_handle Bench::placed(const void* data, uint64_t bytes, int32_t dtype,
                        const std::vector<uint64_t>& shape) {
  sk_handle out = 0;
  const uint32_t rank = static_cast<uint32_t>(shape.size());
  if (below(2)) {
    must(sk_tensor_create(context_, dtype, rank, shape.data(), data, bytes, &out));
    return out;
  }
  const uint64_t offset = below(64);
  std::FILE* file = std::tmpfile();
  sk_handle map = 0;
  if (file == nullptr || std::fseek(file, static_cast<long>(offset), SEEK_SET) != 0 ||
      std::fwrite(data, 1, bytes, file) != bytes || std::fflush(file) != 0) {
    std::perror("temporary file");
    std::exit(2);
  }
  must(sk_map_file(context_, fileno(file), offset + bytes, &map));
  must(sk_tensor_view(context_, map, offset, dtype, rank, shape.data(), &out));
  must(sk_map_free(map));  // the tensor keeps it
  std::fclose(file);
  return out;
}

sk_handle Bench::tensor(const std::vector<uint64_t>& shape, float scale) {
  uint64_t count = 1;
  for (const uint64_t size : shape) count *= size;
  std::vector<float> data(count);
  for (float& x : data) x = value(scale);
  return placed(data.data(), count * 4, SK_DTYPE_F32, shape);
}

// Bits of an f16 between 2^-9 and 1/2 in size; of a bf16 between 1/64 and 1/4.
uint16_t Bench::half() {
  const uint32_t sign = below(2) << 15, exponent = between(6, 13) << 10;
  return static_cast<uint16_t>(sign | exponent | below(1024));
}

uint16_t Bench::brain_half() {
  const uint32_t sign = below(2) << 15;
  return static_cast<uint16_t>(sign | between(0x3c80, 0x3e7f));
}

sk_handle Bench::dense(uint32_t out, uint32_t in) {
  const int32_t types[] = {SK_DTYPE_F32, SK_DTYPE_F16, SK_DTYPE_BF16};
  const int32_t type = types[below(3)];
  sk_handle values = 0, result = 0;
  if (type == SK_DTYPE_F32) {
    values = tensor({out, in});
  } else {
    std::vector<uint16_t> data(static_cast<size_t>(out) * in);
    for (uint16_t& x : data) x = type == SK_DTYPE_F16 ? half() : brain_half();
    values = placed(data.data(), data.size() * 2, type, {out, in});
  }
  must(sk_weight_dense(context_, values, &result));
  note(" dense%d[%u,%u]", type, out, in);
  return result;
}

sk_handle Bench::quantized(uint32_t out, uint32_t groups, uint32_t bits, uint32_t group_size) {
  const uint64_t words = static_cast<uint64_t>(groups) * group_size * bits / 32;
  std::vector<uint32_t> packed(out * words);
  for (uint32_t& word : packed) word = static_cast<uint32_t>(engine_());
  const sk_handle values = placed(packed.data(), packed.size() * 4, SK_DTYPE_U32, {out, words});
  const int32_t types[] = {SK_DTYPE_F32, SK_DTYPE_F16, SK_DTYPE_BF16};
  const int32_t type = types[below(3)];
  sk_handle parts[2], result = 0;
  for (sk_handle& part : parts) {
    if (type == SK_DTYPE_F32) {
      part = tensor({out, groups}, 0.05f);
      continue;
    }
    std::vector<uint16_t> data(static_cast<size_t>(out) * groups);
    for (uint16_t& x : data) x = type == SK_DTYPE_F16 ? half() : brain_half();
    part = placed(data.data(), data.size() * 2, type, {out, groups});
  }
  must(sk_weight_quantized(context_, values, parts[0], parts[1], bits, group_size, &result));
  note(" q%u/%u[%u,%u]", bits, group_size, out, groups * group_size);
  return result;
}

sk_handle Bench::weight(uint32_t out, uint32_t in) {
  if (in % 32 != 0 || below(4) == 0) return dense(out, in);
  const uint32_t widths[] = {2, 3, 4, 5, 6, 8, 4, 4};
  uint32_t group = 32u << below(3);
  while (in % group != 0) group /= 2;
  return quantized(out, in / group, widths[below(8)], group);
}

sk_register Bench::buffer(uint32_t dim) {
  sk_register reg = 0;
  must(sk_program_buffer(program, dim, &reg));
  return reg;
}

sk_register Bench::input(uint32_t dim, float scale) {
  sk_handle table = 0;
  must(sk_weight_dense(context_, tensor({tokens, dim}, scale), &table));
  const sk_register reg = buffer(dim);
  must(sk_op_embed(program, table, reg));
  return reg;
}

void Bench::finish(sk_register out, uint32_t dim, sk_handle table, uint32_t vocabulary) {
  if (table == 0) {
    std::vector<float> identity(static_cast<size_t>(dim) * dim, 0.0f);
    for (size_t i = 0; i < dim; ++i) identity[i * dim + i] = 1;
    const uint64_t shape[] = {dim, dim};
    sk_handle values = 0;
    must(sk_tensor_create(context_, SK_DTYPE_F32, 2, shape, identity.data(), identity.size() * 4,
                          &values));
    must(sk_weight_dense(context_, values, &table));
    vocabulary = dim;
  }
  vocabulary_ = vocabulary;
  must(sk_op_logits(program, table, out));
  must(sk_program_end(program));
}

void Bench::step(const std::vector<sk_span>& spans) {
  const sk_span& last = spans.back();
  std::vector<int32_t> ids(last.first + last.count);
  for (const sk_span& span : spans) {
    uint64_t length = 0;
    must(sk_sequence_length(span.sequence, &length));
    for (uint32_t i = 0; i < span.count; ++i)
      ids[span.first + i] = static_cast<int32_t>((length + i) % tokens);
  }
  must(sk_step(program, ids.data(), static_cast<uint32_t>(ids.size()), spans.data(),
               static_cast<uint32_t>(spans.size())));
  uint32_t rows = 0;
  must(sk_logits_rows(program, &rows));
  std::vector<float> logits(vocabulary_);
  for (uint32_t row = 0; row < rows; ++row) {
    must(sk_logits(program, row, logits.data(), vocabulary_));
    digest(digest_, logits.data(), logits.size() * 4);
  }
  sk_sampling sampling{};
  sampling.temperature = 0.8f, sampling.top_p = 0.9f, sampling.repetition_penalty = 1;
  sampling.top_logprobs = std::min<uint32_t>(5, vocabulary_), sampling.seed = 7;
  sk_sampled sampled{};
  if (spans.size() > 1) {
    must(sk_sample(program, 0, &sampling, nullptr, nullptr, nullptr, nullptr, &sampled));
    digest(digest_, &sampled, sizeof sampled);
  }
}

// One sequence fed whole or in pieces; then a fork of it and a new one go on in one batch.
uint64_t Bench::feed(Feed how) {
  sk_handle sequences[3];
  must(sk_sequence_create(program, &sequences[0]));
  std::mt19937_64 pieces = engine_;  // as many draws whatever the pieces
  for (uint32_t done = 0; done < tokens;) {
    const uint32_t rest = tokens - done;
    const uint32_t count =
        how == Feed::together ? rest : 1 + static_cast<uint32_t>(pieces() % rest);
    step({{sequences[0], 0, count, SK_LOGITS_ALL, 0}});
    done += count;
  }
  must(sk_sequence_fork(sequences[0], &sequences[1]));
  must(sk_sequence_create(program, &sequences[2]));
  const uint32_t fresh = between(1, tokens);
  step({{sequences[2], 0, fresh, SK_LOGITS_LAST, 0}, {sequences[1], fresh, 1, SK_LOGITS_ALL, 0}});
  step({{sequences[0], 0, 2, SK_LOGITS_ALL, 0},
        {sequences[2], 2, 1, SK_LOGITS_LAST, 0},
        {sequences[1], 3, 3, SK_LOGITS_NONE, 0}});
  return digest_;
}

Result run_case(const OpCase& op, const char* isa, uint64_t seed, Feed feed) {
  Bench bench(isa, seed);
  op.record(bench);
  const uint64_t value = bench.feed(feed);
  return {bench.what_, value};
}

}  // namespace same_bits
