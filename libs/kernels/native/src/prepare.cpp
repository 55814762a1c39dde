#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_set>

#include "error.hpp"
#include "step.hpp"

namespace sk {

namespace {

struct NewPage {
  uint32_t span;
  uint32_t slot;
  uint64_t index;
  PagePool::Page page;
};

StepSpan checked_span(Program& program, const sk_span& span, uint32_t expected_first,
                      uint32_t token_count) {
  StepSpan result{find<Sequence>(span.sequence), span.first, span.count, span.logits, 0};
  if (result.sequence->program.get() != &program)
    fail(SK_INVALID_ARGUMENT, "a span's sequence belongs to another program");
  if (span.first != expected_first)
    fail(SK_INVALID_ARGUMENT,
         "a span starts at token %u, expected %u: spans cover the tokens in order", span.first,
         expected_first);
  if (span.count == 0) fail(SK_INVALID_ARGUMENT, "a span has no tokens");
  if (span.count > token_count - span.first)
    fail(SK_INVALID_ARGUMENT, "a span ends beyond the %u tokens", token_count);
  if (span.logits < SK_LOGITS_NONE || span.logits > SK_LOGITS_ALL)
    fail(SK_INVALID_ARGUMENT, "a span's logits is %d, must be one of SK_LOGITS_*", span.logits);
  if (span.unused != 0) fail(SK_INVALID_ARGUMENT, "a span's last field must be 0");
  result.start = result.sequence->length;
  const uint64_t limit = program.options.max_positions;
  if (result.start + span.count > limit)
    fail(SK_LIMIT, "a sequence of %llu tokens and %u more exceed max_positions %llu",
         static_cast<unsigned long long>(result.start), span.count,
         static_cast<unsigned long long>(limit));
  return result;
}

void check_tokens(const Program& program, const int32_t* tokens, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (tokens[i] < 0 || static_cast<uint32_t>(tokens[i]) >= program.vocabulary)
      fail(SK_INVALID_ARGUMENT, "token %u is %d, outside the vocabulary of %u", i, tokens[i],
           program.vocabulary);
  }
}

void check_spans(StepJob& job, const sk_span* spans, uint32_t span_count) {
  const uint32_t token_count = static_cast<uint32_t>(job.tokens.size());
  std::unordered_set<const Sequence*> seen;
  uint32_t next = 0;
  for (uint32_t i = 0; i < span_count; ++i) {
    StepSpan span = checked_span(*job.program, spans[i], next, token_count);
    if (!seen.insert(span.sequence.get()).second)
      fail(SK_INVALID_ARGUMENT, "span %u names a sequence that is in the step already", i);
    const uint32_t wanted = span.logits == SK_LOGITS_ALL    ? span.count
                            : span.logits == SK_LOGITS_LAST ? 1
                                                            : 0;
    next += span.count;
    for (uint32_t t = next - wanted; t < next; ++t) job.logits_rows.push_back(t);
    job.span_of.insert(job.span_of.end(), span.count, i);
    job.spans.push_back(std::move(span));
  }
  if (next != token_count)
    fail(SK_INVALID_ARGUMENT, "the spans cover %u of %u tokens", next, token_count);
  in_range(job.logits_rows.size(), 0, SK_MAX_STEP_LOGITS, "logits rows of a step");
}

// Pages the new tokens need: fresh ones, and copies of a last page that is shared.
std::vector<NewPage> take_pages(const StepJob& job) {
  std::vector<NewPage> pages;
  PagePool& pool = *job.program->context->pages;
  for (uint32_t s = 0; s < job.spans.size(); ++s) {
    const StepSpan& span = job.spans[s];
    const uint64_t last = (span.start + span.count - 1) / SK_PAGE_TOKENS;
    for (uint32_t slot = 0; slot < span.sequence->tables.size(); ++slot) {
      const auto& existing = span.sequence->tables[slot].pages;
      const uint64_t bytes = job.program->page_layouts[slot].page_bytes;
      for (uint64_t index = span.start / SK_PAGE_TOKENS; index <= last; ++index) {
        if (index < existing.size() && existing[index].use_count() == 1) continue;
        NewPage page{s, slot, index, pool.take(bytes)};
        if (index < existing.size()) {
          std::memcpy(page.page->data(), existing[index]->data(), bytes);
        } else {
          std::memset(page.page->data(), 0, bytes);
        }
        pages.push_back(std::move(page));
      }
    }
  }
  return pages;
}

void grow(Block& block, const std::shared_ptr<Budget>& budget, uint64_t bytes) {
  if (block.bytes() >= bytes) return;
  block = Block();  // the old one is returned first, so that the peak stays low
  block = Block(budget, bytes, Use::scratch);
}

void grow_rope(RopeTable& table, const std::shared_ptr<Budget>& budget, uint64_t rows) {
  constexpr uint64_t kStep = 1024;
  if (table.rows >= rows) return;
  const uint64_t wanted = (rows + kStep - 1) / kStep * kStep;
  const uint32_t half = table.dims / 2;
  Block cosine(budget, wanted * half * sizeof(float), Use::general);
  Block sine(budget, wanted * half * sizeof(float), Use::general);
  const uint64_t known = uint64_t{table.rows} * half;
  std::copy_n(table.cosine.floats(), known, cosine.floats());
  std::copy_n(table.sine.floats(), known, sine.floats());
  for (uint32_t i = 0; i < half; ++i) {
    const double frequency = std::pow(table.theta, -2.0 * i / table.dims);
    for (uint64_t row = table.rows; row < wanted; ++row) {
      const double angle = static_cast<double>(row) * frequency;
      cosine.floats()[row * half + i] = static_cast<float>(std::cos(angle));
      sine.floats()[row * half + i] = static_cast<float>(std::sin(angle));
    }
  }
  table.cosine = std::move(cosine);
  table.sine = std::move(sine);
  table.rows = static_cast<uint32_t>(wanted);
}

uint64_t per_thread_bytes(const StepJob& job) {
  uint64_t longest = 0;
  for (const StepSpan& span : job.spans) longest = std::max(longest, span.start + span.count);
  const uint64_t scores = job.program->plan.any_attention
                              ? ((longest + 15) / 16 * 16 * 4 + SK_MAX_HEAD_DIM) * sizeof(float)
                              : 0;
  const uint64_t bytes = std::max(scores, job.program->plan.scratch_bytes);
  return (bytes + 4095) / 4096 * 4096 + 4096;
}

void take_scratch(const StepJob& job) {
  Program& program = *job.program;
  const auto& budget = program.context->budget;
  for (RopeTable& table : program.ropes) {
    uint64_t rows = 0;
    for (const StepSpan& span : job.spans) rows = std::max(rows, span.start + span.count);
    grow_rope(table, budget, rows);
  }
  const uint64_t tokens = job.tokens.size(), rows = job.logits_rows.size();
  const MatrixRows& head = program.logits().weight->rows();
  program.logits_rows = 0;
  program.thread_scratch_bytes = per_thread_bytes(job);
  grow(program.thread_scratch, budget, program.thread_scratch_bytes * program.context->pool.size());
  grow(program.arena, budget, tokens * program.plan.floats_per_token * sizeof(float));
  const Quant quant{0, head.group_size == 0 ? 32 : head.group_size, QuantLayout::natural, head.in,
                    0};
  const uint64_t input = rows * (((head.in + 15ull) / 16 * 16) + quant.floats());
  grow(program.logits_input, budget, input * sizeof(float));
  grow(program.logits_values, budget, rows * head.out * sizeof(float));
}

}  // namespace

StepJob prepare_step(Program& program, const int32_t* tokens, uint32_t token_count,
                     const sk_span* spans, uint32_t span_count) {
  if (!program.ready) fail(SK_STATE, "the program has not ended; call sk_program_end");
  required(tokens, "tokens");
  required(spans, "spans");
  in_range(token_count, 1, program.options.max_step_tokens, "tokens of a step");
  in_range(span_count, 1, SK_MAX_STEP_SPANS, "spans of a step");
  check_tokens(program, tokens, token_count);
  StepJob job{&program, {tokens, tokens + token_count}, {}, {}, {}};
  check_spans(job, spans, span_count);
  take_scratch(job);
  std::vector<NewPage> pages = take_pages(job);
  for (const StepSpan& span : job.spans) {  // the last allocations: room in the tables
    const uint64_t count = (span.start + span.count - 1) / SK_PAGE_TOKENS + 1;
    for (PageTable& table : span.sequence->tables) {
      table.pages.reserve(count);
      table.data.reserve(count);
    }
  }
  for (NewPage& page : pages) {
    PageTable& table = job.spans[page.span].sequence->tables[page.slot];
    if (page.index == table.pages.size()) {
      table.data.push_back(nullptr);
      table.pages.emplace_back();
    }
    table.data[page.index] = page.page->data();
    table.pages[page.index] = std::move(page.page);
  }
  program.logits_rows = static_cast<uint32_t>(job.logits_rows.size());
  return job;
}

}  // namespace sk
