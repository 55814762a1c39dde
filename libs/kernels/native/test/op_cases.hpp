// One random case of the library on one instruction set: what it records and what comes out.
#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "sanctum.h"

namespace same_bits {

struct Result {
  std::string what;     // the shape of the case
  uint64_t digest = 0;  // of all logits bits, in token order
};

enum class Feed { together, chunked };  // all tokens in one step, or in random pieces

struct OpCase {
  const char* name;
  void (*record)(class Bench& bench);
};

const std::vector<OpCase>& op_cases();
// Runs a case; equal seeds make equal cases. Ends the process on any refused call.
Result run_case(const OpCase& op, const char* isa, uint64_t seed, Feed feed);

}  // namespace same_bits
