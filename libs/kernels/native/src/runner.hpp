#pragma once
#include <algorithm>

#include "dealer.hpp"
#include "step.hpp"

namespace sk {

// One step on all threads: every operation is one or two loops over tasks.
class Runner {
 public:
  explicit Runner(StepJob& job)
      : job_(job),
        program_(*job.program),
        kernels_(program_.context->kernels),
        dealer_(program_.context->pool.size()),
        tokens_(static_cast<uint32_t>(job.tokens.size())) {}

  void run(uint32_t thread);

 private:
  template <typename Task>
  void parallel(Lane& lane, uint32_t tasks, Task&& task) {
    dealer_.run(lane, tasks, task);
  }

  float* at(uint64_t offset) const { return program_.arena.floats() + offset * tokens_; }
  float* row(const Ref& ref, uint32_t token) const {
    return at(ref.offset) + static_cast<uint64_t>(token) * program_.dims[ref.reg];
  }
  uint8_t* scratch(const Lane& lane) const {
    return program_.thread_scratch.data() + program_.thread_scratch_bytes * lane.thread;
  }

  // run.cpp: matrix products and what is done per row.
  void execute(EmbedOp& op, Lane& lane);
  void execute(NormOp& op, Lane& lane);
  void execute(AddNormOp& op, Lane& lane);
  void execute(SiluMulOp& op, Lane& lane);
  void execute(GatedNormOp& op, Lane& lane);
  void execute(LinearOp& op, Lane& lane);
  void execute(LogitsOp& op, Lane& lane);
  void fast(Lane& lane, const FastLinear* jobs, uint32_t count);
  void exact(Lane& lane, const FastLinear& job, const float* x);
  QuantizedRows quantized(float* base, const Quant& quant, uint32_t rows) const;
  void quantize(const float* x, const Quant& quant, const QuantizedRows& rows, uint32_t token,
                uint32_t begin, uint32_t end) const;
  void quantize_made(uint32_t quant, const Ref& src, uint32_t token, uint32_t begin,
                     uint32_t end) const;

  // run_mix.cpp: what mixes tokens of a sequence.
  void execute(ConvOp& op, Lane& lane);
  void execute(DeltaOp& op, Lane& lane);
  void execute(AttentionOp& op, Lane& lane);
  void prepare_heads(AttentionOp& op, uint32_t t, const Lane& lane);
  void store(const float* src, uint8_t* dst, uint32_t count, const PageLayout& layout);

  StepJob& job_;
  Program& program_;
  const Kernels& kernels_;
  Dealer dealer_;
  const uint32_t tokens_;
};

}  // namespace sk
