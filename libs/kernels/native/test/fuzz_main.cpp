// Drives the C ABI with random programs, batches and broken arguments. Built with ASan and UBSan:
// any memory error aborts. Every call must return a status, with a message when it is not SK_OK.
// Usage: sanctum_fuzz [seed] [rounds]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "sanctum.h"

namespace {

std::mt19937_64 engine;
uint64_t accepted = 0, refused = 0;

uint32_t below(uint32_t count) { return static_cast<uint32_t>(engine() % count); }
bool rarely() { return below(12) == 0; }

sk_status seen(sk_status status) {
  if (status == SK_OK) {
    ++accepted;
  } else {
    ++refused;
    if (std::strlen(sk_last_error()) == 0) {
      std::fprintf(stderr, "status %d without a message\n", status);
      std::abort();
    }
  }
  return status;
}

uint64_t odd_number() {
  const uint64_t values[] = {0, 1, 3, 17, 1ull << 24, 1ull << 32, 1ull << 52, UINT64_MAX};
  return values[below(8)];
}

struct Model {
  sk_handle context = 0, program = 0;
  std::vector<sk_handle> sequences;
  uint32_t vocabulary = 0;
};

// Now and then another handle than the right one: stale, made up, of another kind.
sk_handle maybe_wrong(const Model& m, sk_handle right) {
  if (!rarely()) return right;
  const sk_handle wrong[] = {0, odd_number(), m.context, m.program, right + 1, right ^ 1ull << 30};
  return wrong[below(6)];
}

sk_handle tensor(Model& m, std::vector<uint64_t> shape) {
  uint64_t count = 1;
  for (const uint64_t size : shape) count *= size;
  std::vector<float> data(count);
  for (float& value : data) value = static_cast<float>(static_cast<int>(below(2001)) - 1000) / 1e3f;
  if (rarely()) data[below(static_cast<uint32_t>(count))] = below(2) ? NAN : INFINITY;
  if (rarely()) shape[0] = odd_number();
  sk_handle out = 0;
  seen(sk_tensor_create(maybe_wrong(m, m.context), rarely() ? 9 : SK_DTYPE_F32,
                        static_cast<uint32_t>(rarely() ? 7 : shape.size()), shape.data(),
                        rarely() ? nullptr : data.data(), count * 4, &out));
  return out;
}

sk_handle weight(Model& m, uint32_t rows, uint32_t cols) {
  sk_handle out = 0;
  if (cols % 32 != 0 || below(2) == 0) {
    seen(sk_weight_dense(m.context, maybe_wrong(m, tensor(m, {rows, cols})), &out));
    return out;
  }
  const uint32_t bits[] = {2, 3, 4, 5, 6, 8};
  const uint32_t width = bits[below(6)], groups = cols / 32;
  std::vector<float> values(static_cast<size_t>(rows) * cols, 0.5f);
  for (float& value : values) value = static_cast<float>(below(100)) / 50 - 1;
  std::vector<uint32_t> packed(values.size() * width / 32);
  std::vector<float> scales(static_cast<size_t>(rows) * groups), biases(scales.size());
  seen(sk_quantize(values.data(), rows, cols, width, 32, packed.data(), scales.data(),
                   biases.data()));
  const uint64_t shape[] = {rows, static_cast<uint64_t>(cols) * width / 32};
  const uint64_t grouped[] = {rows, groups};
  sk_handle parts[3] = {0, 0, 0};
  seen(sk_tensor_create(m.context, SK_DTYPE_U32, 2, shape, packed.data(), packed.size() * 4,
                        &parts[0]));
  seen(sk_tensor_create(m.context, SK_DTYPE_F32, 2, grouped, scales.data(), scales.size() * 4,
                        &parts[1]));
  seen(sk_tensor_create(m.context, SK_DTYPE_F32, 2, grouped, biases.data(), biases.size() * 4,
                        &parts[2]));
  seen(sk_weight_quantized(m.context, parts[0], parts[1], maybe_wrong(m, parts[2]),
                           rarely() ? below(40) : width, rarely() ? below(300) : 32, &out));
  for (const sk_handle part : parts) sk_tensor_free(part);  // the weight keeps what it needs
  return out;
}

sk_register buffer(Model& m, uint32_t dim) {
  sk_register reg = 0;
  seen(sk_program_buffer(m.program, dim, &reg));
  return rarely() ? below(50) : reg;
}

void record_delta(Model& m, sk_register x, uint32_t hidden, sk_register dst) {
  const uint32_t key_heads = 1 + below(2), value_heads = key_heads * (1 + below(3));
  const uint32_t key_dim = below(3) == 0 ? 128 : 1 + below(40), value_dim = 1 + below(40);
  const uint32_t mixed_dim = 2 * key_heads * key_dim + value_heads * value_dim;
  const sk_register mixed = buffer(m, mixed_dim), conv = buffer(m, mixed_dim);
  const sk_register a = buffer(m, value_heads), b = buffer(m, value_heads);
  const sk_register y = buffer(m, value_heads * value_dim);
  seen(sk_op_linear(m.program, weight(m, mixed_dim, hidden), 0, x, mixed));
  seen(sk_op_linear(m.program, weight(m, value_heads, hidden), 0, x, a));
  seen(sk_op_linear(m.program, weight(m, value_heads, hidden), 0, x, b));
  seen(sk_op_conv1d_silu(m.program, mixed, tensor(m, {mixed_dim, 4}), rarely() ? 99 : 4, conv));
  sk_gated_delta desc{};
  desc.mixed = conv, desc.a = a, desc.b = b, desc.dst = y;
  desc.a_log = maybe_wrong(m, tensor(m, {value_heads}));
  desc.dt_bias = tensor(m, {value_heads});
  desc.key_heads = key_heads, desc.value_heads = rarely() ? 7 : value_heads;
  desc.key_dim = key_dim, desc.value_dim = value_dim;
  desc.norm_eps = rarely() ? NAN : 1e-6f;
  seen(sk_op_gated_delta(m.program, rarely() ? nullptr : &desc));
  seen(sk_op_linear(m.program, weight(m, hidden, value_heads * value_dim), 0, y, dst));
}

void record_attention(Model& m, sk_register x, uint32_t hidden, sk_register dst) {
  const uint32_t kv = 1 + below(2), heads = kv * (1 + below(5)), dim = 2 + below(40);
  const uint32_t gated = below(2);
  const sk_register q = buffer(m, heads * dim * (gated + 1));
  const sk_register k = buffer(m, kv * dim), v = buffer(m, kv * dim), y = buffer(m, heads * dim);
  seen(sk_op_linear(m.program, weight(m, heads * dim * (gated + 1), hidden), 0, x, q));
  seen(sk_op_linear(m.program, weight(m, kv * dim, hidden), 0, x, k));
  seen(sk_op_linear(m.program, weight(m, kv * dim, hidden), 0, x, v));
  sk_attention desc{};
  desc.q = q, desc.k = k, desc.v = v, desc.dst = y;
  desc.q_norm = below(2) ? tensor(m, {dim}) : 0;
  desc.k_norm = below(2) ? tensor(m, {dim}) : 0;
  desc.heads = rarely() ? below(3000) : heads, desc.kv_heads = kv, desc.head_dim = dim;
  desc.rope_dims = rarely() ? 1 + 2 * below(100) : dim / 4 * 2;
  desc.gated = rarely() ? 5 : gated;
  desc.norm_eps = 1e-6f, desc.scale = 0.2f, desc.rope_theta = rarely() ? -1.0 : 1e4;
  seen(sk_op_attention(m.program, rarely() ? nullptr : &desc));
  seen(sk_op_linear(m.program, weight(m, hidden, heads * dim), 0, y, dst));
}

void record(Model& m) {
  const uint32_t hidden = below(3) ? 32 * (1 + below(5)) : 1 + below(70);
  m.vocabulary = 1 + below(90);
  const sk_program_options options = {rarely() ? 0u : 64u, 200, static_cast<int32_t>(below(4))};
  seen(sk_program_begin(m.context, rarely() ? nullptr : &options, &m.program));
  const sk_register x = buffer(m, hidden), normed = buffer(m, hidden), delta = buffer(m, hidden);
  const sk_handle table = weight(m, m.vocabulary, hidden);
  seen(sk_op_embed(m.program, table, x));
  seen(sk_op_rms_norm(m.program, x, tensor(m, {hidden}), 1e-6f, normed));
  for (uint32_t layer = 0; layer < 2; ++layer) {
    if (below(2)) {
      record_delta(m, normed, hidden, delta);
    } else {
      record_attention(m, normed, hidden, delta);
    }
    seen(sk_op_add_rms_norm(m.program, x, delta, tensor(m, {hidden}), 1e-6f, normed));
  }
  seen(sk_op_silu_mul(m.program, normed, x, delta));
  seen(sk_op_logits(m.program, maybe_wrong(m, table), rarely() ? 99 : delta));
  seen(sk_program_end(m.program));
}

void step(Model& m) {
  std::vector<int32_t> tokens;
  std::vector<sk_span> spans;
  for (const sk_handle sequence : m.sequences) {
    if (below(3) == 0) continue;
    const uint32_t count = rarely() ? 0 : 1 + below(20);
    spans.push_back({maybe_wrong(m, sequence), static_cast<uint32_t>(tokens.size()), count,
                     static_cast<int32_t>(below(rarely() ? 9 : 3)), 0});
    for (uint32_t i = 0; i < count; ++i)
      tokens.push_back(rarely() && rarely() ? -5 : static_cast<int32_t>(below(m.vocabulary)));
    if (rarely()) spans.push_back(spans.back());
  }
  if (tokens.empty()) return;
  uint64_t before = 0, after = 0;
  const bool known = !m.sequences.empty() && sk_sequence_length(m.sequences[0], &before) == SK_OK;
  const sk_status status =
      seen(sk_step(maybe_wrong(m, m.program), tokens.data(), static_cast<uint32_t>(tokens.size()),
                   spans.data(), static_cast<uint32_t>(spans.size())));
  if (status != SK_OK && known) {
    sk_sequence_length(m.sequences[0], &after);
    if (before != after) std::abort();  // a failed step must not advance anyone
  }
}

void sample(Model& m) {
  std::vector<int32_t> history(1 + below(30));
  for (int32_t& token : history) token = static_cast<int32_t>(below(m.vocabulary + 1));
  std::vector<uint32_t> mask((m.vocabulary + 31) / 32, rarely() ? 0 : 0x5555aaaau);
  const int32_t bias_token = static_cast<int32_t>(below(m.vocabulary + 1));
  const float bias_value = rarely() ? NAN : -3;
  sk_sampling s{};
  s.temperature = rarely() ? NAN : static_cast<float>(below(3));
  s.top_p = rarely() ? 2.0f : 0.1f + static_cast<float>(below(10)) / 11;
  s.min_p = static_cast<float>(below(3)) / 10;
  s.top_k = below(m.vocabulary + 10);
  s.repetition_penalty = rarely() ? 0 : 1.1f;
  s.history_count = below(2) ? static_cast<uint32_t>(history.size()) : 0;
  s.bias_count = below(2);
  s.mask_words = below(2) ? static_cast<uint32_t>(mask.size()) : 0;
  s.top_logprobs = below(rarely() ? 40 : 21);
  s.seed = engine();
  sk_sampled out{};
  uint32_t rows = 0;
  seen(sk_logits_rows(m.program, &rows));
  const sk_status status =
      seen(sk_sample(m.program, below(rows + 1), rarely() ? nullptr : &s, history.data(),
                     &bias_token, &bias_value, mask.data(), &out));
  if (status == SK_OK && (out.token < 0 || static_cast<uint32_t>(out.token) >= m.vocabulary))
    std::abort();
  std::vector<float> logits(m.vocabulary);
  seen(sk_logits(m.program, below(rows + 1), logits.data(), m.vocabulary));
}

void play(Model& m) {
  for (uint32_t i = 0; i < 3; ++i) {
    sk_handle sequence = 0;
    if (seen(sk_sequence_create(m.program, &sequence)) == SK_OK) m.sequences.push_back(sequence);
  }
  for (uint32_t i = 0; i < 12; ++i) {
    step(m);
    sample(m);
    if (m.sequences.empty()) return;
    const uint32_t at = below(static_cast<uint32_t>(m.sequences.size()));
    sk_handle fork = 0;
    if (below(3) == 0 && seen(sk_sequence_fork(m.sequences[at], &fork)) == SK_OK)
      m.sequences.push_back(fork);
    if (below(5) == 0) seen(sk_sequence_free(m.sequences[at]));  // stays in the list: stale
    if (rarely()) seen(sk_context_clear_cache(m.context));
  }
}

void round(const char* isa) {
  Model m;
  const uint64_t limit = below(4) == 0 ? 200000 : 0;
  const sk_context_options options = {
      1 + below(3), static_cast<int32_t>(1 + below(2)), isa, {limit, 0, 0}};
  if (seen(sk_context_create(&options, &m.context)) != SK_OK) return;
  record(m);
  play(m);
  sk_stats stats{};
  seen(sk_context_stats(m.context, &stats));
  if (seen(sk_context_free(m.context)) != SK_OK) std::abort();
  if (sk_context_stats(m.context, &stats) != SK_INVALID_HANDLE) std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  const uint64_t rounds = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 400;
  engine.seed(seed);
  const char* isas[] = {"portable", "avx2", "avx512", "amx", "amx-avx2", nullptr};
  for (uint64_t i = 0; i < rounds; ++i) round(isas[i % (sizeof isas / sizeof *isas)]);
  std::printf("sanctum_fuzz: seed %llu, %llu rounds, %llu calls accepted, %llu refused\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(rounds),
              static_cast<unsigned long long>(accepted), static_cast<unsigned long long>(refused));
  return accepted > 1000 && refused > 1000 ? 0 : 1;
}
