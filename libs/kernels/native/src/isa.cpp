#include "isa.hpp"

#include <cstdlib>

#include "error.hpp"

namespace sk {

namespace {

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  if (avx512) found.push_back(kernels_avx512());
  if (avx2) found.push_back(kernels_avx2());
#endif
  found.push_back(kernels_portable());
  return found;
}

}  // namespace

const std::vector<const Kernels*>& available_isas() {
  static const std::vector<const Kernels*> isas = detect();
  return isas;
}

const Kernels& choose_isa(const char* name) {
  if (name == nullptr || *name == '\0') name = std::getenv("SANCTUM_ISA");
  const auto& isas = available_isas();
  if (name == nullptr || *name == '\0') return *isas.front();
  std::string known;
  for (const Kernels* isa : isas) {
    if (std::string(isa->name) == name) return *isa;
    known += known.empty() ? "" : ", ";
    known += isa->name;
  }
  fail(SK_UNSUPPORTED, "instruction set \"%.40s\" is not available here; this machine has: %s",
       name, known.c_str());
}

}  // namespace sk
