#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "sequence.hpp"

namespace sk {

struct StepSpan {
  std::shared_ptr<Sequence> sequence;
  uint32_t first;
  uint32_t count;
  int32_t logits;
  uint64_t start;  // position of the first token
};

// One ragged batch, checked, with all memory it needs in place: nothing can fail from here on.
struct StepJob {
  Program* program;
  std::vector<int32_t> tokens;
  std::vector<StepSpan> spans;
  std::vector<uint32_t> span_of;      // by token
  std::vector<uint32_t> logits_rows;  // token index of each wanted row
};

// Checks everything and takes all memory; sequences change only once nothing can fail any more.
StepJob prepare_step(Program& program, const int32_t* tokens, uint32_t token_count,
                     const sk_span* spans, uint32_t span_count);
// Computes on all threads, then advances the sequences.
void run_step(StepJob& job);

}  // namespace sk
