// Runs the operations of a step on all threads; here the matrix products and what is done per row.
#include "runner.hpp"

namespace sk {

namespace {

constexpr uint32_t kExactRows = 16;
constexpr uint32_t kElementwise = 1024;

uint32_t blocks(uint64_t count, uint64_t size) {
  return static_cast<uint32_t>((count + size - 1) / size);
}

}  // namespace

void Runner::run(uint32_t thread) {
  Lane lane{thread};
  for (Op& op : program_.ops) std::visit([&](auto& o) { execute(o, lane); }, op);
}

void Runner::execute(EmbedOp& op, Lane& lane) {
  parallel(lane, tokens_, [&](uint32_t t) {
    kernels_.load_row(op.table->rows(), static_cast<uint32_t>(job_.tokens[t]), row(op.dst, t));
  });
}

void Runner::execute(NormOp& op, Lane& lane) {
  const uint32_t dim = program_.dims[op.src.reg];
  parallel(lane, tokens_, [&](uint32_t t) {
    kernels_.rms_norm(row(op.src, t), op.weight.data(), op.eps, row(op.dst, t), dim);
    quantize_made(op.quant, op.dst, t, 0, dim);
  });
}

void Runner::execute(AddNormOp& op, Lane& lane) {
  const uint32_t dim = program_.dims[op.dst.reg];
  parallel(lane, tokens_, [&](uint32_t t) {
    kernels_.add_rms_norm(row(op.residual, t), row(op.delta, t), op.weight.data(), op.eps,
                          row(op.dst, t), dim);
    quantize_made(op.quant, op.dst, t, 0, dim);
  });
}

void Runner::execute(SiluMulOp& op, Lane& lane) {
  const uint32_t parts = blocks(op.dim, kElementwise);
  parallel(lane, tokens_ * parts, [&](uint32_t i) {
    const uint32_t t = i / parts, begin = i % parts * kElementwise;
    const uint32_t end = std::min(begin + kElementwise, op.dim);
    kernels_.silu_mul(row(op.gate, t) + begin, row(op.up, t) + begin, row(op.dst, t) + begin,
                      end - begin);
    quantize_made(op.quant, op.dst, t, begin, end);
  });
}

void Runner::execute(GatedNormOp& op, Lane& lane) {
  const uint32_t group = static_cast<uint32_t>(op.weight.size()), dim = op.groups * group;
  const uint32_t size = group % kQuantChunk == 0 ? group : dim;  // of a part
  const uint32_t parts = dim / size;
  parallel(lane, tokens_ * parts, [&](uint32_t i) {
    const uint32_t t = i / parts, begin = i % parts * size;
    for (uint32_t at = begin; at < begin + size; at += group)
      kernels_.rms_norm_gated(row(op.src, t) + at, row(op.gate, t) + at, op.weight.data(), op.eps,
                              row(op.dst, t) + at, group);
    quantize_made(op.quant, op.dst, t, begin, begin + size);
  });
}

QuantizedRows Runner::quantized(float* base, const Quant& quant, uint32_t rows) const {
  QuantizedRows result{};
  result.q = reinterpret_cast<int8_t*>(base);
  result.stride = quant.stride();
  result.d = base + static_cast<uint64_t>(rows) * quant.stride() / 4;
  result.s = result.d + static_cast<uint64_t>(rows) * quant.groups();
  return result;
}

// Elements [begin, end) of one row, begin a multiple of kQuantChunk, end too or the row's.
void Runner::quantize(const float* x, const Quant& quant, const QuantizedRows& rows, uint32_t token,
                      uint32_t begin, uint32_t end) const {
  const uint32_t padded = end == quant.dim ? rows.stride - begin : end - begin;
  const uint64_t group = static_cast<uint64_t>(token) * quant.groups() + begin / quant.group_size;
  kernels_.quantize_row(x + begin, end - begin, quant.group_size, quant.layout,
                        rows.q + static_cast<uint64_t>(token) * rows.stride + begin, padded,
                        rows.d + group, rows.s + group);
}

// The int8 form of a part of a value that was just computed, if linears want it.
void Runner::quantize_made(uint32_t quant, const Ref& src, uint32_t token, uint32_t begin,
                           uint32_t end) const {
  if (quant == kNone) return;
  const Quant& made = program_.plan.quants[quant];
  quantize(row(src, token), made, quantized(at(made.offset), made, tokens_), token, begin, end);
}

void Runner::execute(LinearOp& op, Lane& lane) {
  if (op.follows) return;  // done along with the one before
  const FastLinear whole{
      op.weight->rows(), {}, op.bias.empty() ? nullptr : op.bias.data(), row(op.dst, 0), tokens_};
  if (op.quant == kNone) return exact(lane, whole, row(op.src, 0));
  const Quant& quant = program_.plan.quants[op.quant];
  const QuantizedRows input = quantized(at(quant.offset), quant, tokens_);
  if (op.quantizes)
    parallel(lane, tokens_,
             [&](uint32_t t) { quantize(row(op.src, t), quant, input, t, 0, quant.dim); });
  FastLinear jobs[kMaxLinears];
  uint32_t count = 0;
  for (const LinearOp* linear = &op; linear != nullptr; linear = linear->next)
    jobs[count++] = {linear->weight->rows(), input,
                     linear->bias.empty() ? nullptr : linear->bias.data(), row(linear->dst, 0),
                     tokens_};
  fast(lane, jobs, count);
}

// Linears over one input as one loop.
void Runner::fast(Lane& lane, const FastLinear* jobs, uint32_t count) {
  uint32_t ends[kMaxLinears] = {};
  uint32_t tasks = 0;
  for (uint32_t j = 0; j < count; ++j) ends[j] = tasks += kernels_.fast_tasks(jobs[j]);
  parallel(lane, tasks, [&](uint32_t i) {
    uint32_t j = 0;
    while (i >= ends[j]) ++j;
    kernels_.fast_task(jobs[j], j == 0 ? i : i - ends[j - 1], scratch(lane));
  });
}

void Runner::exact(Lane& lane, const FastLinear& job, const float* x) {
  const MatrixRows& weight = job.weight;
  parallel(lane, blocks(weight.out, kExactRows), [&](uint32_t i) {
    const uint32_t begin = i * kExactRows;
    const uint32_t count = std::min(kExactRows, weight.out - begin);
    float* values = reinterpret_cast<float*>(scratch(lane));
    for (uint32_t r = 0; r < count; ++r)
      kernels_.load_row(weight, begin + r, values + static_cast<uint64_t>(r) * weight.in);
    kernels_.matmul(values, count, x, job.tokens, weight.in, job.bias ? job.bias + begin : nullptr,
                    job.output + begin, weight.out);
  });
}

void Runner::execute(LogitsOp& op, Lane& lane) {
  const uint32_t rows = static_cast<uint32_t>(job_.logits_rows.size());
  if (rows == 0) return;
  const MatrixRows& weight = op.weight->rows();
  float* input = program_.logits_input.floats();
  FastLinear job{weight, {}, nullptr, program_.logits_values.floats(), rows};
  if (!program_.context->fast || weight.bits == 0) {
    parallel(lane, rows, [&](uint32_t r) {
      const float* src = row(op.src, job_.logits_rows[r]);
      std::copy(src, src + weight.in, input + static_cast<uint64_t>(r) * weight.in);
    });
    return exact(lane, job, input);
  }
  const Quant quant{0, weight.group_size,
                    weight.bits == 4 ? QuantLayout::split : QuantLayout::natural, weight.in, 0};
  job.input = quantized(input, quant, rows);
  parallel(lane, rows, [&](uint32_t r) {
    quantize(row(op.src, job_.logits_rows[r]), quant, job.input, r, 0, weight.in);
  });
  fast(lane, &job, 1);
}

void run_step(StepJob& job) {
  Program& program = *job.program;
  Runner runner(job);
  program.context->pool.run([&](uint32_t thread) { runner.run(thread); });
  for (StepSpan& span : job.spans) span.sequence->length += span.count;
  program.context->steps += 1;
  program.context->tokens += job.tokens.size();
}

}  // namespace sk
