#pragma once
#include <algorithm>
#include <vector>

#include "step.hpp"

namespace sk {

// Deals the tasks of a loop out to threads: each has a contiguous share of its own, so that what it
// streams is contiguous, and then helps the others with theirs.
class Dealer {
 public:
  explicit Dealer(uint32_t threads) : threads_(threads), taken_(kSlots * size_t{threads}) {}

  // All threads call this in the same order of loops and meet at a barrier after each: only then
  // is a slot free for the loop after the next.
  template <typename Task>
  void run(uint32_t thread, uint32_t loop, uint32_t tasks, Task&& task) {
    slot(loop + 1)[thread].count.store(0, std::memory_order_relaxed);
    for (uint32_t turn = 0; turn < threads_; ++turn) {
      const uint32_t owner = (thread + turn) % threads_;
      const uint32_t begin = share(tasks, owner), size = share(tasks, owner + 1) - begin;
      std::atomic<uint32_t>& taken = slot(loop)[owner].count;
      if (taken.load(std::memory_order_relaxed) >= size) continue;
      for (uint32_t i = taken.fetch_add(1, std::memory_order_relaxed); i < size;
           i = taken.fetch_add(1, std::memory_order_relaxed))
        task(begin + i);
    }
  }

  uint32_t share(uint32_t tasks, uint32_t thread) const {
    return static_cast<uint32_t>(uint64_t{tasks} * thread / threads_);
  }

 private:
  static constexpr uint32_t kSlots = 3;
  struct alignas(64) Taken {
    std::atomic<uint32_t> count{0};
  };
  Taken* slot(uint32_t loop) { return taken_.data() + loop % kSlots * threads_; }

  const uint32_t threads_;
  std::vector<Taken> taken_;
};

// One step on all threads: every operation is one or two loops over tasks, each with a barrier.
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
  struct Lane {
    uint32_t thread;
    uint32_t loop;
  };

  template <typename Task>
  void parallel(Lane& lane, uint32_t tasks, Task&& task) {
    dealer_.run(lane.thread, lane.loop++, tasks, task);
    program_.context->pool.barrier();
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
