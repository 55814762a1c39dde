// Runs random cases of every operation, and whole little models, on every instruction set there
// is, fed whole and in pieces. All must give the bits of `portable`. Prints one line per case, so
// that the outputs of two machines can be compared: they must be equal but for lines with "#".
// Usage: same_bits [seed] [rounds]
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench.hpp"

namespace {

using namespace same_bits;

std::vector<std::string> instruction_sets() {
  char json[4096];
  must(sk_library_info(json, sizeof json));
  std::vector<std::string> names;
  const char* at = std::strstr(json, "\"isas\"");
  const char* end = at == nullptr ? nullptr : std::strchr(at, ']');
  if (end == nullptr) {
    std::fprintf(stderr, "no instruction sets in %s\n", json);
    std::exit(2);
  }
  for (at = std::strchr(at, '['); at < end;) {
    const char* open = std::strchr(at, '"');
    if (open == nullptr || open > end) break;
    const char* close = std::strchr(open + 1, '"');
    names.emplace_back(open + 1, close);
    at = close + 1;
  }
  return names;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  const uint64_t rounds = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 20;
  const std::vector<std::string> isas = instruction_sets();
  std::string list;
  for (const std::string& isa : isas) list += " " + isa;
  std::printf("# instruction sets:%s\n", list.c_str());
  uint64_t cases = 0, differing = 0;
  for (uint64_t round = 0; round < rounds; ++round) {
    for (const OpCase& op : op_cases()) {
      const uint64_t draw = seed * 1000003 + cases++;
      const Result want = run_case(op, "portable", draw, Feed::together);
      std::printf("%s %016" PRIx64 " %s\n", op.name, want.digest, want.what.c_str());
      for (const std::string& isa : isas) {
        for (const Feed feed : {Feed::together, Feed::chunked}) {
          if (run_case(op, isa.c_str(), draw, feed).digest == want.digest) continue;
          ++differing;
          std::printf("# %s DIFFERS (%s)\n", isa.c_str(),
                      feed == Feed::chunked ? "in pieces" : "whole");
        }
      }
    }
  }
  std::printf("# %" PRIu64 " cases, seed %" PRIu64 ": %" PRIu64 " runs differ from portable\n",
              cases, seed, differing);
  return differing == 0 && cases > 0 ? 0 : 1;
}
