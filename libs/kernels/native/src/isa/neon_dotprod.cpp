#define SK_ISA neon_dotprod
#define SK_ISA_NAME "neon-dotprod"
#define SK_NEON_DOTPROD 1
#include "isa/kernels.hpp"
#include "isa/pack_neon.hpp"
#include "isa/table.hpp"

namespace sk {
const Kernels* kernels_neon_dotprod() { return &neon_dotprod::kTable; }
}  // namespace sk
