#define SK_ISA neon
#define SK_ISA_NAME "neon"
#define SK_NEON_DOTPROD 0
#include "isa/kernels.hpp"
#include "isa/pack_neon.hpp"
#include "isa/table.hpp"

namespace sk {
const Kernels* kernels_neon() { return &neon::kTable; }
}  // namespace sk
