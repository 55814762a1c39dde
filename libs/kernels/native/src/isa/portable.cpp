#define SK_ISA portable
#define SK_ISA_NAME "portable"
#include "isa/fast_portable.hpp"
#include "isa/kernels.hpp"
#include "isa/table.hpp"

namespace sk {
const Kernels* kernels_portable() { return &portable::kTable; }
}  // namespace sk
