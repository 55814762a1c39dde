#include "isa.hpp"

#include <cstdlib>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include "error.hpp"

namespace sk {

namespace {

#if defined(__aarch64__)
bool has_dot_product() {
#if defined(__linux__)
  constexpr unsigned long kHwcapDotProduct = 1ul << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kHwcapDotProduct) != 0;
#elif defined(__APPLE__)
  int present = 0;
  size_t bytes = sizeof present;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &present, &bytes, nullptr, 0) == 0 &&
         present != 0;
#else
  return false;
#endif
}
#endif

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
#elif defined(__aarch64__)
  if (has_dot_product()) found.push_back(kernels_neon_dotprod());
  found.push_back(kernels_neon());
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
