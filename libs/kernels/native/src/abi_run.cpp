#include <cstring>

#include "error.hpp"
#include "quantize.hpp"
#include "sample.hpp"
#include "step.hpp"

using namespace sk;

namespace {

template <typename Body>
sk_status running(sk_handle handle, Body&& body) {
  return guarded([&] {
    const auto program = find<Program>(handle);
    const std::lock_guard lock(program->context->running);
    body(program);
  });
}

const float* logits_row(const Program& program, uint32_t row) {
  if (row >= program.logits_rows)
    fail(SK_INVALID_ARGUMENT, "row %u of %u logits rows of the last step", row,
         program.logits_rows);
  return program.logits_values.floats() +
         static_cast<uint64_t>(row) * program.logits().weight->rows().out;
}

}  // namespace

sk_status sk_sequence_create(sk_handle program, sk_handle* sequence) {
  return running(program, [&](const std::shared_ptr<Program>& p) {
    *required(sequence, "sequence") = 0;
    if (!p->ready) fail(SK_STATE, "the program has not ended; call sk_program_end");
    *sequence = register_object(Kind::sequence, std::make_shared<Sequence>(p));
  });
}

sk_status sk_sequence_fork(sk_handle sequence, sk_handle* fork) {
  return guarded([&] {
    const auto source = find<Sequence>(sequence);
    *required(fork, "fork") = 0;
    const std::lock_guard lock(source->program->context->running);
    *fork = register_object(Kind::sequence, std::make_shared<Sequence>(*source));
  });
}

sk_status sk_sequence_length(sk_handle sequence, uint64_t* tokens) {
  return guarded([&] {
    const auto found = find<Sequence>(sequence);
    const std::lock_guard lock(found->program->context->running);
    *required(tokens, "tokens") = found->length;
  });
}

sk_status sk_sequence_free(sk_handle sequence) {
  return guarded([&] { remove_object(sequence, Kind::sequence); });
}

sk_status sk_step(sk_handle program, const int32_t* tokens, uint32_t token_count,
                  const sk_span* spans, uint32_t span_count) {
  return running(program, [&](const std::shared_ptr<Program>& p) {
    StepJob job = prepare_step(*p, tokens, token_count, spans, span_count);
    run_step(job);
  });
}

sk_status sk_logits_rows(sk_handle program, uint32_t* rows) {
  return running(program, [&](const std::shared_ptr<Program>& p) {
    *required(rows, "rows") = p->logits_rows;
  });
}

sk_status sk_logits(sk_handle program, uint32_t row, float* logits, uint32_t capacity) {
  return running(program, [&](const std::shared_ptr<Program>& p) {
    required(logits, "logits");
    const float* values = logits_row(*p, row);
    const uint32_t vocabulary = p->logits().weight->rows().out;
    if (capacity < vocabulary)
      fail(SK_INVALID_ARGUMENT, "logits has room for %u floats, the vocabulary is %u", capacity,
           vocabulary);
    std::memcpy(logits, values, static_cast<size_t>(vocabulary) * sizeof(float));
  });
}

sk_status sk_sample(sk_handle program, uint32_t row, const sk_sampling* sampling,
                    const int32_t* history, const int32_t* bias_tokens, const float* bias_values,
                    const uint32_t* token_mask, sk_sampled* sampled) {
  return running(program, [&](const std::shared_ptr<Program>& p) {
    required(sampling, "sampling");
    required(sampled, "sampled");
    const float* values = logits_row(*p, row);
    const SampleInput input{
        values, p->logits().weight->rows().out, history, bias_tokens, bias_values, token_mask};
    *sampled = sample(p->context->kernels, *sampling, input);
  });
}

sk_status sk_context_clear_cache(sk_handle context) {
  return guarded([&] {
    const auto found = find<Context>(context);
    const std::lock_guard lock(found->running);
    found->pages->clear();
    for (const auto& object : objects_of(Kind::program, found.get())) {
      auto& program = static_cast<Program&>(*object);
      program.arena = Block();
      program.thread_scratch = Block();
      program.logits_input = Block();
      program.logits_values = Block();
      program.logits_rows = 0;
    }
  });
}

sk_status sk_quantize(const float* values, uint64_t rows, uint64_t cols, uint32_t bits,
                      uint32_t group_size, uint32_t* packed, float* scales, float* biases) {
  return guarded([&] {
    quantize_affine({values, rows, cols, bits, group_size, packed, scales, biases});
  });
}
