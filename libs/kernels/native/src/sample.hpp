#pragma once
#include "isa/kernels.hpp"
#include "sanctum.h"

namespace sk {

struct SampleInput {
  const float* logits;
  uint32_t vocabulary;
  const int32_t* history;
  const int32_t* bias_tokens;
  const float* bias_values;
  const uint32_t* token_mask;
};

sk_sampled sample(const Kernels& kernels, const sk_sampling& sampling, const SampleInput& input);

// Uniform in [0, 1), a function of (seed, counter) alone: two rounds of splitmix64's finaliser,
// 53 bits. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
double uniform(uint64_t seed, uint64_t counter);

}  // namespace sk
