// Runs the operations that mix the tokens of a sequence: convolution, gated delta rule, attention.
#include <cstring>

#include "runner.hpp"

namespace sk {

namespace {

constexpr uint32_t kConvChannels = 512;
constexpr uint32_t kDeltaRows = 32;

uint32_t blocks(uint64_t count, uint64_t size) {
  return static_cast<uint32_t>((count + size - 1) / size);
}

}  // namespace

void Runner::execute(ConvOp& op, Lane& lane) {
  const uint32_t parts = blocks(op.dim, kConvChannels);
  const uint32_t tasks = parts * static_cast<uint32_t>(job_.spans.size());
  parallel(lane, tasks, [&](uint32_t i) {
    const StepSpan& span = job_.spans[i / parts];
    const uint32_t begin = i % parts * kConvChannels;
    ConvSpan conv{};
    conv.src = row(op.src, span.first);
    conv.dst = row(op.dst, span.first);
    conv.tail = span.sequence->state.floats() + op.state;
    conv.weight = op.weight.data();
    conv.count = span.count;
    conv.dim = op.dim;
    conv.taps = op.taps;
    kernels_.conv_silu(conv, begin, std::min(begin + kConvChannels, op.dim));
  });
}

void Runner::execute(DeltaOp& op, Lane& lane) {
  const sk_gated_delta& d = op.desc;
  const uint32_t keys = d.key_heads * d.key_dim;
  float* normed = at(op.temp);  // [tokens, 2 * keys], then decay and beta [tokens, value_heads]
  float* decay = normed + static_cast<uint64_t>(tokens_) * 2 * keys;
  float* beta = decay + static_cast<uint64_t>(tokens_) * d.value_heads;
  const float q_scale = 1.0f / __builtin_sqrtf(static_cast<float>(d.key_dim));
  parallel(lane, tokens_, [&](uint32_t t) {
    float* out = normed + static_cast<uint64_t>(t) * 2 * keys;
    for (uint32_t h = 0; h < 2 * d.key_heads; ++h)
      kernels_.l2_norm(row(op.mixed, t) + static_cast<uint64_t>(h) * d.key_dim, d.norm_eps,
                       h < d.key_heads ? q_scale : 1.0f, out + static_cast<uint64_t>(h) * d.key_dim,
                       d.key_dim);
    kernels_.delta_gates(row(op.a, t), row(op.b, t), op.a_scale.data(), op.dt_bias.data(),
                         decay + static_cast<uint64_t>(t) * d.value_heads,
                         beta + static_cast<uint64_t>(t) * d.value_heads, d.value_heads);
  });
  const uint32_t parts = blocks(d.value_dim, kDeltaRows);
  const uint32_t per_span = parts * d.value_heads;
  parallel(lane, per_span * static_cast<uint32_t>(job_.spans.size()), [&](uint32_t i) {
    const StepSpan& span = job_.spans[i / per_span];
    const uint32_t head = i % per_span / parts;
    const uint32_t key_head = head / (d.value_heads / d.key_heads);
    const uint32_t first = i % parts * kDeltaRows;
    const uint64_t value_at = static_cast<uint64_t>(head) * d.value_dim + first;
    const uint64_t gate_at = static_cast<uint64_t>(span.first) * d.value_heads + head;
    DeltaScan scan{};
    scan.q = normed + static_cast<uint64_t>(span.first) * 2 * keys +
             static_cast<uint64_t>(key_head) * d.key_dim;
    scan.k = scan.q + keys;
    scan.v = row(op.mixed, span.first) + 2 * keys + value_at;
    scan.decay = decay + gate_at;
    scan.beta = beta + gate_at;
    scan.state = span.sequence->state.floats() + op.state + value_at * d.key_dim;
    scan.dst = row(op.dst, span.first) + value_at;
    scan.count = span.count;
    scan.qk_stride = 2 * keys;
    scan.v_stride = program_.dims[op.mixed.reg];
    scan.gate_stride = d.value_heads;
    scan.dst_stride = d.value_heads * d.value_dim;
    scan.key_dim = d.key_dim;
    scan.value_rows = std::min(kDeltaRows, d.value_dim - first);
    kernels_.delta_scan(scan);
  });
}

void Runner::execute(AttentionOp& op, Lane& lane) {
  parallel(lane, tokens_, [&](uint32_t t) { prepare_heads(op, t, lane); });
  const sk_attention& d = op.desc;
  const PageLayout& layout = program_.page_layouts[op.slot];
  const uint32_t group = d.heads / d.kv_heads;
  parallel(lane, tokens_ * d.kv_heads, [&](uint32_t i) {
    const uint32_t t = i / d.kv_heads, kv_head = i % d.kv_heads;
    const StepSpan& span = job_.spans[job_.span_of[t]];
    const uint64_t head = static_cast<uint64_t>(kv_head) * group;
    const uint64_t q_width = static_cast<uint64_t>(d.head_dim) * (d.gated + 1);
    AttentionRows rows{};
    rows.q = at(op.temp) + (static_cast<uint64_t>(t) * d.heads + head) * d.head_dim;
    rows.gate = d.gated != 0 ? row(op.q, t) + head * q_width + d.head_dim : nullptr;
    rows.dst = row(op.dst, t) + head * d.head_dim;
    rows.key_pages = span.sequence->tables[op.slot].data.data();
    rows.head_offset = kv_head * layout.head_bytes;
    rows.value_offset = layout.values_at + rows.head_offset;
    rows.scores = reinterpret_cast<float*>(scratch(lane));
    rows.rows = group;
    rows.gate_stride = static_cast<uint32_t>(q_width);
    rows.dim = d.head_dim;
    rows.length = static_cast<uint32_t>(span.start + (t - span.first) + 1);
    rows.page_tokens = SK_PAGE_TOKENS;
    rows.half = layout.element_bytes == 2;
    rows.scale = d.scale;
    kernels_.attention(rows);
  });
}

// Norm and rotation of one token's heads; its keys and values go into their page.
void Runner::prepare_heads(AttentionOp& op, uint32_t t, const Lane& lane) {
  const sk_attention& d = op.desc;
  const PageLayout& layout = program_.page_layouts[op.slot];
  const RopeTable& rope = program_.ropes[op.rope];
  const StepSpan& span = job_.spans[job_.span_of[t]];
  const uint64_t position = span.start + (t - span.first);
  HeadNorm head{};
  head.cosine = rope.cosine.floats() + position * (d.rope_dims / 2);
  head.sine = rope.sine.floats() + position * (d.rope_dims / 2);
  head.eps = d.norm_eps;
  head.dim = d.head_dim;
  head.rope_dims = d.rope_dims;
  head.weight = op.q_norm.empty() ? nullptr : op.q_norm.data();
  for (uint64_t h = 0; h < d.heads; ++h) {
    head.src = row(op.q, t) + h * d.head_dim * (d.gated + 1);
    head.dst = at(op.temp) + (static_cast<uint64_t>(t) * d.heads + h) * d.head_dim;
    kernels_.head_norm_rope(head);
  }
  head.weight = op.k_norm.empty() ? nullptr : op.k_norm.data();
  head.dst = reinterpret_cast<float*>(scratch(lane));
  uint8_t* page =
      const_cast<uint8_t*>(span.sequence->tables[op.slot].data[position / SK_PAGE_TOKENS]);
  const uint64_t line = position % SK_PAGE_TOKENS * d.head_dim * layout.element_bytes;
  for (uint64_t h = 0; h < d.kv_heads; ++h) {
    head.src = row(op.k, t) + h * d.head_dim;
    kernels_.head_norm_rope(head);
    uint8_t* keys = page + h * layout.head_bytes + line;
    store(head.dst, keys, d.head_dim, layout);
    store(row(op.v, t) + h * d.head_dim, keys + layout.values_at, d.head_dim, layout);
  }
}

void Runner::store(const float* src, uint8_t* dst, uint32_t count, const PageLayout& layout) {
  if (layout.element_bytes == 2) {
    kernels_.store_half(src, reinterpret_cast<uint16_t*>(dst), count);
  } else {
    std::memcpy(dst, src, count * sizeof(float));
  }
}

}  // namespace sk
