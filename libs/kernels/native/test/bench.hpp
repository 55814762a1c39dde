// Makes random inputs and weights, records operations on them, and digests the logits.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "op_cases.hpp"

namespace same_bits {

inline void must(sk_status status) {
  if (status == SK_OK) return;
  std::fprintf(stderr, "a call was refused with %d: %s\n", status, sk_last_error());
  std::exit(2);
}

// Two machines must draw the same numbers: no two draws in one expression, whose order is up to the
// compiler.
class Bench {
 public:
  Bench(const char* isa, uint64_t seed);
  ~Bench();

  uint32_t below(uint32_t count) { return static_cast<uint32_t>(engine_() % count); }
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }
  float value(float scale) { return static_cast<float>(between(0, 20000)) / 1e4f * scale - scale; }
  template <typename... Numbers>
  void note(const char* format, Numbers... numbers) {
    char text[80];
    std::snprintf(text, sizeof text, format, numbers...);
    what_ += text;
  }

  sk_handle tensor(const std::vector<uint64_t>& shape, float scale = 1);
  // Dense of any type, or where `in` allows it quantised with any bits and group size.
  sk_handle weight(uint32_t out, uint32_t in);
  sk_handle quantized(uint32_t out, uint32_t groups, uint32_t bits, uint32_t group_size);
  sk_register buffer(uint32_t dim);
  // A register with a random row for each token.
  sk_register input(uint32_t dim, float scale = 1);
  // Ends the recording: the logits are the register itself, or `table` times it.
  void finish(sk_register out, uint32_t dim, sk_handle table = 0, uint32_t vocabulary = 0);
  uint64_t feed(Feed how);

  sk_handle program = 0;
  uint32_t tokens;
  bool fast;

 private:
  sk_handle dense(uint32_t out, uint32_t in);
  sk_handle placed(const void* data, uint64_t bytes, int32_t dtype,
                   const std::vector<uint64_t>& shape);
  uint16_t half();
  uint16_t brain_half();
  void step(const std::vector<sk_span>& spans);

  std::mt19937_64 engine_;
  std::string what_;
  sk_handle context_ = 0;
  uint32_t vocabulary_ = 0;
  uint64_t digest_ = 14695981039346656037ull;
  friend Result run_case(const OpCase&, const char*, uint64_t, Feed);
};

}  // namespace same_bits
