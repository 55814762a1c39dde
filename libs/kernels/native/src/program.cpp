#include "program.hpp"

#include "error.hpp"

namespace sk {

Program::Program(std::shared_ptr<Context> owner, const sk_program_options& asked)
    : context(std::move(owner)), options(asked) {
  in_range(options.max_step_tokens, 1, SK_MAX_STEP_TOKENS, "max_step_tokens");
  in_range(options.max_positions, 1, SK_MAX_POSITIONS, "max_positions");
  if (options.kv < SK_KV_DEFAULT || options.kv > SK_KV_F16)
    fail(SK_INVALID_ARGUMENT, "kv is %d, must be one of SK_KV_*", options.kv);
}

bool Program::half_cache() const {
  if (options.kv == SK_KV_DEFAULT) return context->fast;
  return options.kv == SK_KV_F16;
}

uint32_t Program::dim_of(sk_register reg) const {
  if (reg >= dims.size())
    fail(SK_INVALID_ARGUMENT, "register %u does not exist; the program has %zu", reg, dims.size());
  return dims[reg];
}

Ref Program::ref(sk_register reg, uint64_t dim, const char* name) const {
  if (dim_of(reg) != dim)
    fail(SK_INVALID_ARGUMENT, "%s: register %u is %u wide, %llu is needed", name, reg, dims[reg],
         static_cast<unsigned long long>(dim));
  return Ref{reg, 0, 0};
}

void Program::append(Op op) {
  if (ready) fail(SK_STATE, "the program has ended; nothing can be recorded any more");
  if (!ops.empty() && std::holds_alternative<LogitsOp>(ops.back()))
    fail(SK_STATE, "logits must be the last operation");
  if (ops.size() >= SK_MAX_OPS) fail(SK_LIMIT, "more than %d operations", SK_MAX_OPS);
  ops.push_back(std::move(op));
}

void Program::finish() {
  if (ready) fail(SK_STATE, "the program has ended already");
  if (ops.empty() || !std::holds_alternative<LogitsOp>(ops.back()))
    fail(SK_STATE, "a program ends with logits");
  if (vocabulary == UINT32_MAX) fail(SK_STATE, "a program needs an embed");
  plan = make_plan(*this);
  ready = true;
}

}  // namespace sk
