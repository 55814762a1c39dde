// Runs the operations of a step on all threads: each operation is one or two loops over tasks that
// the threads draw from a counter, with a barrier after each loop.
#include <algorithm>
#include <cstring>

#include "step.hpp"

namespace sk {

namespace {

constexpr uint32_t kExactRows = 16;
constexpr uint32_t kElementwise = 4096;
constexpr uint32_t kConvChannels = 512;
constexpr uint32_t kDeltaRows = 32;
constexpr uint32_t kMaxLoops = 3;  // of one operation

struct alignas(64) Counter {
  std::atomic<uint32_t> next{0};
};

uint32_t blocks(uint64_t count, uint64_t size) {
  return static_cast<uint32_t>((count + size - 1) / size);
}

class Runner {
 public:
  Runner(StepJob& job, std::vector<Counter>& counters)
      : job_(job),
        program_(*job.program),
        kernels_(program_.context->kernels),
        counters_(counters),
        tokens_(static_cast<uint32_t>(job.tokens.size())) {}

  void run(uint32_t thread) {
    Lane lane{thread, 0};
    for (Op& op : program_.ops) std::visit([&](auto& o) { execute(o, lane); }, op);
  }

 private:
  struct Lane {
    uint32_t thread;
    uint32_t loop;
  };

  template <typename Task>
  void parallel(Lane& lane, uint32_t tasks, bool meet, Task&& task) {
    std::atomic<uint32_t>& next = counters_[lane.loop++].next;
    for (uint32_t i = next.fetch_add(1, std::memory_order_relaxed); i < tasks;
         i = next.fetch_add(1, std::memory_order_relaxed))
      task(i);
    if (meet) program_.context->pool.barrier();
  }

  float* at(uint64_t offset) const { return program_.arena.floats() + offset * tokens_; }
  float* row(const Ref& ref, uint32_t token) const {
    return at(ref.offset) + static_cast<uint64_t>(token) * program_.dims[ref.reg];
  }
  uint8_t* scratch(const Lane& lane) const {
    return program_.thread_scratch.data() + program_.thread_scratch_bytes * lane.thread;
  }

  void execute(EmbedOp& op, Lane& lane) {
    parallel(lane, tokens_, true, [&](uint32_t t) {
      kernels_.load_row(op.table->rows(), static_cast<uint32_t>(job_.tokens[t]), row(op.dst, t));
    });
  }

  void execute(NormOp& op, Lane& lane) {
    parallel(lane, tokens_, true, [&](uint32_t t) {
      kernels_.rms_norm(row(op.src, t), op.weight.data(), op.eps, row(op.dst, t),
                        program_.dims[op.src.reg]);
    });
  }

  void execute(AddNormOp& op, Lane& lane) {
    parallel(lane, tokens_, true, [&](uint32_t t) {
      kernels_.add_rms_norm(row(op.residual, t), row(op.delta, t), op.weight.data(), op.eps,
                            row(op.dst, t), program_.dims[op.dst.reg]);
    });
  }

  void execute(SiluMulOp& op, Lane& lane) {
    const uint64_t total = static_cast<uint64_t>(tokens_) * op.dim;
    parallel(lane, blocks(total, kElementwise), true, [&](uint32_t i) {
      const uint64_t begin = static_cast<uint64_t>(i) * kElementwise;
      const uint64_t count = std::min<uint64_t>(kElementwise, total - begin);
      kernels_.silu_mul(row(op.gate, 0) + begin, row(op.up, 0) + begin, row(op.dst, 0) + begin,
                        count);
    });
  }

  void execute(ConvOp& op, Lane& lane) {
    const uint32_t parts = blocks(op.dim, kConvChannels);
    const uint32_t tasks = parts * static_cast<uint32_t>(job_.spans.size());
    parallel(lane, tasks, true, [&](uint32_t i) {
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

  void execute(GatedNormOp& op, Lane& lane) {
    const uint32_t group = static_cast<uint32_t>(op.weight.size());
    parallel(lane, tokens_, true, [&](uint32_t t) {
      for (uint32_t g = 0; g < op.groups; ++g) {
        const uint64_t offset = static_cast<uint64_t>(g) * group;
        kernels_.rms_norm_gated(row(op.src, t) + offset, row(op.gate, t) + offset, op.weight.data(),
                                op.eps, row(op.dst, t) + offset, group);
      }
    });
  }

  void execute(DeltaOp& op, Lane& lane) {
    const sk_gated_delta& d = op.desc;
    const uint32_t keys = d.key_heads * d.key_dim;
    float* normed = at(op.temp);  // [tokens, 2 * keys], then decay and beta [tokens, value_heads]
    float* decay = normed + static_cast<uint64_t>(tokens_) * 2 * keys;
    float* beta = decay + static_cast<uint64_t>(tokens_) * d.value_heads;
    const float q_scale = 1.0f / __builtin_sqrtf(static_cast<float>(d.key_dim));
    parallel(lane, tokens_, true, [&](uint32_t t) {
      float* out = normed + static_cast<uint64_t>(t) * 2 * keys;
      for (uint32_t h = 0; h < 2 * d.key_heads; ++h)
        kernels_.l2_norm(row(op.mixed, t) + static_cast<uint64_t>(h) * d.key_dim, d.norm_eps,
                         h < d.key_heads ? q_scale : 1.0f,
                         out + static_cast<uint64_t>(h) * d.key_dim, d.key_dim);
      kernels_.delta_gates(row(op.a, t), row(op.b, t), op.a_scale.data(), op.dt_bias.data(),
                           decay + static_cast<uint64_t>(t) * d.value_heads,
                           beta + static_cast<uint64_t>(t) * d.value_heads, d.value_heads);
    });
    const uint32_t parts = blocks(d.value_dim, kDeltaRows);
    const uint32_t per_span = parts * d.value_heads;
    parallel(lane, per_span * static_cast<uint32_t>(job_.spans.size()), true, [&](uint32_t i) {
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

  void execute(AttentionOp& op, Lane& lane) {
    parallel(lane, tokens_, true, [&](uint32_t t) { prepare_heads(op, t, lane); });
    const sk_attention& d = op.desc;
    const PageLayout& layout = program_.page_layouts[op.slot];
    const uint32_t group = d.heads / d.kv_heads;
    parallel(lane, tokens_ * d.kv_heads, true, [&](uint32_t i) {
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
  void prepare_heads(AttentionOp& op, uint32_t t, const Lane& lane) {
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

  void store(const float* src, uint8_t* dst, uint32_t count, const PageLayout& layout) {
    if (layout.element_bytes == 2) {
      kernels_.store_half(src, reinterpret_cast<uint16_t*>(dst), count);
    } else {
      std::memcpy(dst, src, count * sizeof(float));
    }
  }

  QuantizedRows quantized(float* base, const Quant& quant, uint32_t rows) const {
    QuantizedRows result{};
    result.q = reinterpret_cast<int8_t*>(base);
    result.stride = quant.stride();
    result.d = base + static_cast<uint64_t>(rows) * quant.stride() / 4;
    result.s = result.d + static_cast<uint64_t>(rows) * quant.groups();
    return result;
  }

  void quantize(Lane& lane, const float* x, const Quant& quant, QuantizedRows rows,
                uint32_t count) {
    parallel(lane, count, true, [&](uint32_t t) {
      kernels_.quantize_row(x + static_cast<uint64_t>(t) * quant.dim, quant.dim, quant.group_size,
                            quant.layout, rows.q + static_cast<uint64_t>(t) * rows.stride,
                            rows.stride, rows.d + static_cast<uint64_t>(t) * quant.groups(),
                            rows.s + static_cast<uint64_t>(t) * quant.groups());
    });
  }

  void execute(LinearOp& op, Lane& lane) {
    const float* bias = op.bias.empty() ? nullptr : op.bias.data();
    if (op.quant == kNone)
      return exact(lane, op.weight->rows(), row(op.src, 0), tokens_, bias, row(op.dst, 0),
                   op.meets_after);
    const Quant& quant = program_.plan.quants[op.quant];
    const QuantizedRows input = quantized(at(quant.offset), quant, tokens_);
    if (op.quantizes) quantize(lane, row(op.src, 0), quant, input, tokens_);
    fast(lane, {op.weight->rows(), input, bias, row(op.dst, 0), tokens_}, op.meets_after);
  }

  void fast(Lane& lane, const FastLinear& job, bool meet) {
    parallel(lane, kernels_.fast_tasks(job), meet,
             [&](uint32_t i) { kernels_.fast_task(job, i, scratch(lane)); });
  }

  void exact(Lane& lane, const MatrixRows& weight, const float* x, uint32_t rows, const float* bias,
             float* y, bool meet) {
    parallel(lane, blocks(weight.out, kExactRows), meet, [&](uint32_t i) {
      const uint32_t begin = i * kExactRows;
      const uint32_t count = std::min(kExactRows, weight.out - begin);
      float* values = reinterpret_cast<float*>(scratch(lane));
      for (uint32_t r = 0; r < count; ++r)
        kernels_.load_row(weight, begin + r, values + static_cast<uint64_t>(r) * weight.in);
      kernels_.matmul(values, count, x, rows, weight.in, bias ? bias + begin : nullptr, y + begin,
                      weight.out);
    });
  }

  void execute(LogitsOp& op, Lane& lane) {
    const uint32_t rows = static_cast<uint32_t>(job_.logits_rows.size());
    if (rows == 0) return;
    const MatrixRows& weight = op.weight->rows();
    float* input = program_.logits_input.floats();
    parallel(lane, rows, true, [&](uint32_t r) {
      std::memcpy(input + static_cast<uint64_t>(r) * weight.in, row(op.src, job_.logits_rows[r]),
                  weight.in * sizeof(float));
    });
    float* output = program_.logits_values.floats();
    if (!program_.context->fast || weight.bits == 0)
      return exact(lane, weight, input, rows, nullptr, output, false);
    const Quant quant{0, weight.group_size,
                      weight.bits == 4 ? QuantLayout::split : QuantLayout::natural, weight.in, 0};
    float* base = input + static_cast<uint64_t>(rows) * ((weight.in + 15) / 16 * 16);
    const QuantizedRows quants = quantized(base, quant, rows);
    quantize(lane, input, quant, quants, rows);
    fast(lane, {weight, quants, nullptr, output, rows}, false);
  }

  StepJob& job_;
  Program& program_;
  const Kernels& kernels_;
  std::vector<Counter>& counters_;
  const uint32_t tokens_;
};

}  // namespace

void run_step(StepJob& job) {
  Program& program = *job.program;
  std::vector<Counter> counters(program.ops.size() * kMaxLoops);
  Runner runner(job, counters);
  program.context->pool.run([&](uint32_t thread) { runner.run(thread); });
  for (StepSpan& span : job.spans) span.sequence->length += span.count;
  program.context->steps += 1;
  program.context->tokens += job.tokens.size();
}

}  // namespace sk
