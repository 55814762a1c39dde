#include "op_cases.hpp"

#include "bench.hpp"

namespace same_bits {

namespace {

constexpr float kEps = 1e-6f;

void embed_quantized(Bench& b) {
  const uint32_t groups = b.between(1, 4), size = 32u << b.below(3);
  const uint32_t widths[] = {2, 3, 4, 5, 6, 8};
  const sk_handle table = b.quantized(b.tokens, groups, widths[b.below(6)], size);
  const sk_register x = b.buffer(groups * size);
  must(sk_op_embed(b.program, table, x));
  b.finish(x, groups * size);
}

void linear_quantized(Bench& b) {
  const uint32_t widths[] = {2, 3, 4, 5, 6, 8, 4, 4, 8};
  const uint32_t size = 32u << b.below(3), groups = b.between(1, 600 / size);
  const uint32_t out = b.between(1, 150), in = groups * size;
  const sk_handle weight = b.quantized(out, groups, widths[b.below(9)], size);
  const sk_handle bias = b.below(2) ? b.tensor({out}) : 0;
  const sk_register x = b.input(in, 3), y = b.buffer(out);
  must(sk_op_linear(b.program, weight, bias, x, y));
  b.finish(y, out);
}

void linear_any(Bench& b) {
  const uint32_t in = b.between(1, 150), out = b.between(1, 90);
  const sk_handle weight = b.weight(out, in), bias = b.below(2) ? b.tensor({out}) : 0;
  const sk_register x = b.input(in, 2), y = b.buffer(out);
  must(sk_op_linear(b.program, weight, bias, x, y));
  b.finish(y, out);
}

void logits_quantized(Bench& b) {
  const uint32_t in = 32 * b.between(1, 12), vocabulary = b.between(1, 200);
  const sk_register x = b.input(in, 2);
  b.finish(x, in, b.weight(vocabulary, in), vocabulary);
}

void rms_norm(Bench& b) {
  const uint32_t dim = b.between(1, 200);
  const sk_register x = b.input(dim, 3), y = b.buffer(dim);
  must(sk_op_rms_norm(b.program, x, b.tensor({dim}), kEps, y));
  b.finish(y, dim);
}

void add_rms_norm(Bench& b) {
  const uint32_t dim = b.between(1, 200);
  const sk_register x = b.input(dim, 3), d = b.input(dim), y = b.buffer(dim), z = b.buffer(dim);
  must(sk_op_add_rms_norm(b.program, x, d, b.tensor({dim}), kEps, y));
  must(sk_op_silu_mul(b.program, x, y, z));  // both results
  b.finish(z, dim);
}

void rms_norm_gated(Bench& b) {
  const uint32_t size = b.between(1, 70), dim = size * b.between(1, 4);
  const sk_register x = b.input(dim, 3), gate = b.input(dim, 9), y = b.buffer(dim);
  must(sk_op_rms_norm_gated(b.program, x, gate, b.tensor({size}), kEps, y));
  b.finish(y, dim);
}

void silu_mul(Bench& b) {
  const uint32_t dim = b.between(1, 300);
  const sk_register gate = b.input(dim, 100), up = b.input(dim, 2), y = b.buffer(dim);
  must(sk_op_silu_mul(b.program, gate, up, y));
  b.finish(y, dim);
}

void convolution(Bench& b) {
  const uint32_t dim = b.between(1, 200), taps = b.between(1, 6);
  const sk_register x = b.input(dim, 2), y = b.buffer(dim);
  must(sk_op_conv1d_silu(b.program, x, b.tensor({dim, taps}), taps, y));
  b.finish(y, dim);
}

sk_gated_delta delta_shape(Bench& b) {
  sk_gated_delta desc{};
  desc.key_heads = b.between(1, 2), desc.value_heads = desc.key_heads * b.between(1, 3);
  desc.key_dim = b.below(3) == 0 ? 128 : b.between(1, 70), desc.value_dim = b.between(1, 40);
  desc.norm_eps = kEps;
  desc.a_log = b.tensor({desc.value_heads}, 2), desc.dt_bias = b.tensor({desc.value_heads});
  b.note(" heads=%u/%u dims=%u/%u", desc.key_heads, desc.value_heads, desc.key_dim, desc.value_dim);
  return desc;
}

void gated_delta(Bench& b) {
  sk_gated_delta desc = delta_shape(b);
  const uint32_t values = desc.value_heads * desc.value_dim;
  desc.mixed = b.input(2 * desc.key_heads * desc.key_dim + values);
  desc.a = b.input(desc.value_heads, 4), desc.b = b.input(desc.value_heads, 4);
  desc.dst = b.buffer(values);
  must(sk_op_gated_delta(b.program, &desc));
  b.finish(desc.dst, values);
}

sk_attention attention_shape(Bench& b) {
  sk_attention desc{};
  desc.kv_heads = b.between(1, 2), desc.heads = desc.kv_heads * b.between(1, 5);
  desc.head_dim = b.below(3) == 0 ? 64 : b.between(2, 70);
  desc.rope_dims = b.between(0, desc.head_dim / 2) * 2;
  desc.gated = b.below(2), desc.norm_eps = kEps, desc.scale = 0.3f, desc.rope_theta = 1e4;
  if (b.below(2)) desc.q_norm = b.tensor({desc.head_dim}, 2);
  if (b.below(2)) desc.k_norm = b.tensor({desc.head_dim}, 2);
  b.note(" heads=%u/%u dim=%u rope=%u gated=%u", desc.heads, desc.kv_heads, desc.head_dim,
         desc.rope_dims, desc.gated);
  return desc;
}

void attention(Bench& b) {
  sk_attention desc = attention_shape(b);
  const uint32_t queries = desc.heads * desc.head_dim, keys = desc.kv_heads * desc.head_dim;
  desc.q = b.input(queries * (desc.gated + 1), 2), desc.k = b.input(keys, 2);
  desc.v = b.input(keys), desc.dst = b.buffer(queries);
  must(sk_op_attention(b.program, &desc));
  b.finish(desc.dst, queries);
}

sk_register project(Bench& b, sk_register src, uint32_t in, uint32_t out) {
  const sk_register dst = b.buffer(out);
  must(sk_op_linear(b.program, b.weight(out, in), 0, src, dst));
  return dst;
}

sk_register delta_layer(Bench& b, sk_register x, uint32_t hidden) {
  sk_gated_delta desc = delta_shape(b);
  const uint32_t values = desc.value_heads * desc.value_dim;
  const uint32_t mixed = 2 * desc.key_heads * desc.key_dim + values;
  desc.mixed = b.buffer(mixed);
  const sk_register projected = project(b, x, hidden, mixed);
  must(sk_op_conv1d_silu(b.program, projected, b.tensor({mixed, 4}), 4, desc.mixed));
  desc.a = project(b, x, hidden, desc.value_heads);
  desc.b = project(b, x, hidden, desc.value_heads);
  desc.dst = b.buffer(values);
  must(sk_op_gated_delta(b.program, &desc));
  const sk_register gate = project(b, x, hidden, values), gated = b.buffer(values);
  must(sk_op_rms_norm_gated(b.program, desc.dst, gate, b.tensor({desc.value_dim}), kEps, gated));
  return project(b, gated, values, hidden);
}

sk_register attention_layer(Bench& b, sk_register x, uint32_t hidden) {
  sk_attention desc = attention_shape(b);
  const uint32_t queries = desc.heads * desc.head_dim, keys = desc.kv_heads * desc.head_dim;
  desc.q = project(b, x, hidden, queries * (desc.gated + 1));
  desc.k = project(b, x, hidden, keys), desc.v = project(b, x, hidden, keys);
  desc.dst = b.buffer(queries);
  must(sk_op_attention(b.program, &desc));
  return project(b, desc.dst, queries, hidden);
}

// A whole little model, its table used for the logits too.
void model(Bench& b) {
  const uint32_t hidden = 32 * b.between(1, 4), inner = 32 * b.between(1, 5);
  const sk_handle table = b.weight(b.tokens, hidden);
  const sk_register x = b.buffer(hidden), normed = b.buffer(hidden);
  must(sk_op_embed(b.program, table, x));
  must(sk_op_rms_norm(b.program, x, b.tensor({hidden}), kEps, normed));
  for (uint32_t layer = 0; layer < 3; ++layer) {
    const sk_register mixed =
        layer == 1 ? attention_layer(b, normed, hidden) : delta_layer(b, normed, hidden);
    must(sk_op_add_rms_norm(b.program, x, mixed, b.tensor({hidden}), kEps, normed));
    const sk_register gate = project(b, normed, hidden, inner);
    const sk_register up = project(b, normed, hidden, inner), active = b.buffer(inner);
    must(sk_op_silu_mul(b.program, gate, up, active));
    const sk_register inside = project(b, active, inner, hidden);
    must(sk_op_add_rms_norm(b.program, x, inside, b.tensor({hidden}), kEps, normed));
  }
  b.finish(normed, hidden, table, b.tokens);
}

}  // namespace

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> cases = {
      {"linear", linear_quantized},
      {"model", model},
      {"embed", embed_quantized},
      {"linear-any", linear_any},
      {"linear", linear_quantized},
      {"logits", logits_quantized},
      {"rms-norm", rms_norm},
      {"add-rms-norm", add_rms_norm},
      {"rms-norm-gated", rms_norm_gated},
      {"silu-mul", silu_mul},
      {"linear", linear_quantized},
      {"convolution", convolution},
      {"gated-delta", gated_delta},
      {"attention", attention},
  };
  return cases;
}

}  // namespace same_bits
