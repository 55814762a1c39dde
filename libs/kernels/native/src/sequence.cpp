#include "sequence.hpp"

#include <cstring>

#include "error.hpp"

namespace sk {

Sequence::Sequence(std::shared_ptr<Program> owner)
    : program(std::move(owner)),
      tables(program->page_layouts.size()),
      state(program->context->budget, program->plan.state_floats * sizeof(float), Use::cache) {
  std::memset(state.data(), 0, state.bytes());
}

Sequence::Sequence(const Sequence& other)
    : Object(other),
      program(other.program),
      length(other.length),
      tables(other.tables),
      state(program->context->budget, other.state.bytes(), Use::cache) {
  std::memcpy(state.data(), other.state.data(), state.bytes());
}

}  // namespace sk
