// AMX emulated over AVX2, for test machines without AVX-512.
#define SK_ISA amx_avx2
#define SK_ISA_NAME "amx-avx2"
#define SK_AMX
#include "isa/kernels.hpp"
#include "isa/pack_avx2.hpp"
// clang-format off
#include "isa/pack_amx.hpp"
// clang-format on
#include "isa/table.hpp"

namespace sk {
const Kernels* kernels_amx_avx2() { return &amx_avx2::kTable; }
}  // namespace sk
