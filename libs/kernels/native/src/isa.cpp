#include "isa.hpp"

#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
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

#if defined(__x86_64__)
bool has_f16c() {  // __builtin_cpu_supports does not know it in clang 14
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

#if defined(SK_AMX) && !defined(SK_AMX_EMULATED)
// The processor has the tiles, the system saves them, and lets this process use them.
bool has_amx() {
  constexpr unsigned kTileInt8 = 3u << 24;  // CPUID 7.0 EDX: AMX-TILE, AMX-INT8
  constexpr unsigned kOsxsave = 1u << 27;   // CPUID 1 ECX
  constexpr unsigned kTileState = 3u << 17;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsxsave) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kTileInt8) != kTileInt8) return false;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & kTileState) != kTileState) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  if (avx512) found.push_back(kernels_avx512());
#if defined(SK_AMX_EMULATED)
  if (avx512) found.push_back(kernels_amx());
  if (avx2) found.push_back(kernels_amx_avx2());
#elif defined(SK_AMX)
  if (avx512 && has_amx()) found.push_back(kernels_amx());  // not first: never measured
#endif
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
