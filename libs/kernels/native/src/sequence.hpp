#pragma once
#include "program.hpp"

namespace sk {

// Pages of one attention layer, and where their data lies.
struct PageTable {
  std::vector<PagePool::Page> pages;
  std::vector<const uint8_t*> data;
};

class Sequence : public Object {
 public:
  static constexpr Kind kKind = Kind::sequence;
  explicit Sequence(std::shared_ptr<Program> owner);
  Sequence(const Sequence& other);  // fork: shares pages, copies state
  Context* owner() const override { return program->owner(); }

  const std::shared_ptr<Program> program;
  uint64_t length = 0;
  std::vector<PageTable> tables;  // by attention slot
  Block state;                    // convolution tails and recurrent states, zero at first
};

}  // namespace sk
