#include "record.hpp"

#include <algorithm>
#include <cmath>

#include "error.hpp"

namespace sk {

namespace {

std::vector<float> vector_of(const Tensor& tensor, uint64_t count, const char* name) {
  if (tensor.shape.elements() != count)
    fail(SK_INVALID_ARGUMENT, "%s has %llu elements, %llu are needed", name,
         static_cast<unsigned long long>(tensor.shape.elements()),
         static_cast<unsigned long long>(count));
  return tensor.floats();
}

float checked_eps(float eps) {
  if (!std::isfinite(eps) || eps < 0) fail(SK_INVALID_ARGUMENT, "eps must be finite and >= 0");
  return eps;
}

uint32_t heads(uint32_t value, const char* name) {
  return static_cast<uint32_t>(in_range(value, 1, SK_MAX_HEADS, name));
}
uint32_t head_dim(uint32_t value, const char* name) {
  return static_cast<uint32_t>(in_range(value, 1, SK_MAX_HEAD_DIM, name));
}

uint32_t page_slot(Program& program, const sk_attention& desc) {
  const uint64_t element = program.half_cache() ? 2 : 4;
  const uint64_t head = element * SK_PAGE_TOKENS * desc.head_dim;
  program.page_layouts.push_back({element, head, head * desc.kv_heads, 2 * head * desc.kv_heads});
  return static_cast<uint32_t>(program.page_layouts.size() - 1);
}

uint32_t rope_table(Program& program, uint32_t dims, double theta) {
  for (uint32_t i = 0; i < program.ropes.size(); ++i)
    if (program.ropes[i].dims == dims && program.ropes[i].theta == theta) return i;
  RopeTable table;
  table.dims = dims;
  table.theta = theta;
  program.ropes.push_back(std::move(table));
  return static_cast<uint32_t>(program.ropes.size() - 1);
}

}  // namespace

void record_embed(Program& program, std::shared_ptr<Weight> table, sk_register dst) {
  const MatrixRows& rows = table->rows();
  EmbedOp op{table, program.ref(dst, rows.in, "embed dst")};
  program.append(std::move(op));
  program.vocabulary = std::min(program.vocabulary, rows.out);
}

void record_norm(Program& program, sk_register src, const Tensor& weight, float eps,
                 sk_register dst) {
  const uint32_t dim = program.dim_of(src);
  program.append(NormOp{vector_of(weight, dim, "the norm's weight"), checked_eps(eps),
                        program.ref(src, dim, "src"), program.ref(dst, dim, "dst")});
}

void record_add_norm(Program& program, sk_register residual, sk_register delta,
                     const Tensor& weight, float eps, sk_register dst) {
  const uint32_t dim = program.dim_of(residual);
  if (dst == residual) fail(SK_INVALID_ARGUMENT, "dst and residual must be two registers");
  program.append(AddNormOp{vector_of(weight, dim, "the norm's weight"), checked_eps(eps),
                           program.ref(residual, dim, "residual"), program.ref(delta, dim, "delta"),
                           program.ref(dst, dim, "dst")});
}

void record_linear(Program& program, std::shared_ptr<Weight> weight, const Tensor* bias,
                   sk_register src, sk_register dst) {
  LinearOp op;
  op.src = program.ref(src, weight->rows().in, "linear src");
  op.dst = program.ref(dst, weight->rows().out, "linear dst");
  if (bias != nullptr) op.bias = vector_of(*bias, weight->rows().out, "the bias");
  op.weight = std::move(weight);
  program.append(std::move(op));
}

void record_silu_mul(Program& program, sk_register gate, sk_register up, sk_register dst) {
  const uint32_t dim = program.dim_of(gate);
  program.append(SiluMulOp{program.ref(gate, dim, "gate"), program.ref(up, dim, "up"),
                           program.ref(dst, dim, "dst"), dim});
}

void record_conv(Program& program, sk_register src, const Tensor& weight, uint32_t taps,
                 sk_register dst) {
  in_range(taps, 1, SK_MAX_CONV_KERNEL, "taps");
  const uint32_t dim = program.dim_of(src);
  const std::vector<float> by_channel =
      vector_of(weight, static_cast<uint64_t>(dim) * taps, "the convolution's weight");
  if (weight.shape.size[0] != dim)
    fail(SK_INVALID_ARGUMENT, "the convolution's weight starts with %llu, not with %u channels",
         static_cast<unsigned long long>(weight.shape.size[0]), dim);
  ConvOp op;
  op.weight.resize(by_channel.size());
  for (uint32_t c = 0; c < dim; ++c)
    for (uint32_t k = 0; k < taps; ++k)
      op.weight[static_cast<size_t>(k) * dim + c] = by_channel[static_cast<size_t>(c) * taps + k];
  op.taps = taps;
  op.dim = dim;
  op.src = program.ref(src, dim, "src");
  op.dst = program.ref(dst, dim, "dst");
  program.append(std::move(op));
}

void record_delta(Program& program, const sk_gated_delta& desc, const Tensor& a_log,
                  const Tensor& dt_bias) {
  heads(desc.key_heads, "key_heads");
  heads(desc.value_heads, "value_heads");
  head_dim(desc.key_dim, "key_dim");
  head_dim(desc.value_dim, "value_dim");
  if (desc.value_heads % desc.key_heads != 0)
    fail(SK_INVALID_ARGUMENT, "value_heads %u is no multiple of key_heads %u", desc.value_heads,
         desc.key_heads);
  checked_eps(desc.norm_eps);
  const uint64_t keys = static_cast<uint64_t>(desc.key_heads) * desc.key_dim;
  const uint64_t values = static_cast<uint64_t>(desc.value_heads) * desc.value_dim;
  DeltaOp op;
  op.desc = desc;
  op.mixed = program.ref(desc.mixed, 2 * keys + values, "mixed");
  op.a = program.ref(desc.a, desc.value_heads, "a");
  op.b = program.ref(desc.b, desc.value_heads, "b");
  op.dst = program.ref(desc.dst, values, "dst");
  const std::vector<float> logs = vector_of(a_log, desc.value_heads, "a_log");
  op.a_scale.resize(logs.size());
  program.context->kernels.exp_values(logs.data(), op.a_scale.data(), logs.size());
  op.dt_bias = vector_of(dt_bias, desc.value_heads, "dt_bias");
  program.append(std::move(op));
}

void record_gated_norm(Program& program, sk_register src, sk_register gate, const Tensor& weight,
                       float eps, sk_register dst) {
  const uint32_t dim = program.dim_of(src);
  const uint64_t group = weight.shape.elements();
  if (group > dim || dim % group != 0)
    fail(SK_INVALID_ARGUMENT, "the norm's %llu elements do not divide the %u of src",
         static_cast<unsigned long long>(group), dim);
  GatedNormOp op;
  op.weight = vector_of(weight, group, "the norm's weight");
  op.eps = checked_eps(eps);
  op.groups = static_cast<uint32_t>(dim / group);
  op.src = program.ref(src, dim, "src");
  op.gate = program.ref(gate, dim, "gate");
  op.dst = program.ref(dst, dim, "dst");
  program.append(std::move(op));
}

void record_attention(Program& program, const sk_attention& desc, const Tensor* q_norm,
                      const Tensor* k_norm) {
  heads(desc.heads, "heads");
  heads(desc.kv_heads, "kv_heads");
  head_dim(desc.head_dim, "head_dim");
  if (desc.heads % desc.kv_heads != 0)
    fail(SK_INVALID_ARGUMENT, "heads %u is no multiple of kv_heads %u", desc.heads, desc.kv_heads);
  if (desc.rope_dims > desc.head_dim || desc.rope_dims % 2 != 0)
    fail(SK_INVALID_ARGUMENT, "rope_dims %u must be even and at most head_dim", desc.rope_dims);
  if (desc.gated > 1) fail(SK_INVALID_ARGUMENT, "gated is %u, must be 0 or 1", desc.gated);
  checked_eps(desc.norm_eps);
  if (!std::isfinite(desc.scale)) fail(SK_INVALID_ARGUMENT, "scale is not finite");
  if (!std::isfinite(desc.rope_theta) || desc.rope_theta <= 0)
    fail(SK_INVALID_ARGUMENT, "rope_theta must be finite and above 0");
  const uint64_t queries = static_cast<uint64_t>(desc.heads) * desc.head_dim;
  const uint64_t keys = static_cast<uint64_t>(desc.kv_heads) * desc.head_dim;
  AttentionOp op;
  op.desc = desc;
  op.q = program.ref(desc.q, queries * (desc.gated + 1), "q");
  op.k = program.ref(desc.k, keys, "k");
  op.v = program.ref(desc.v, keys, "v");
  op.dst = program.ref(desc.dst, queries, "dst");
  if (q_norm != nullptr) op.q_norm = vector_of(*q_norm, desc.head_dim, "q_norm");
  if (k_norm != nullptr) op.k_norm = vector_of(*k_norm, desc.head_dim, "k_norm");
  op.slot = static_cast<uint32_t>(program.page_layouts.size());
  op.rope = rope_table(program, desc.rope_dims, desc.rope_theta);
  program.append(std::move(op));
  page_slot(program, desc);
}

void record_logits(Program& program, std::shared_ptr<Weight> weight, sk_register src) {
  program.append(LogitsOp{weight, program.ref(src, weight->rows().in, "logits src")});
}

}  // namespace sk
