#define SK_ISA amx
#define SK_ISA_NAME "amx"
#define SK_AMX
#include "isa/kernels.hpp"
// Its transpose and its way with small batches are used by pack_amx.hpp.
#include "isa/pack_avx512.hpp"
// clang-format off
#include "isa/pack_amx.hpp"
// clang-format on
#include "isa/table.hpp"

namespace sk {
const Kernels* kernels_amx() { return &amx::kTable; }
}  // namespace sk
