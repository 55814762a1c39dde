#define SK_ISA avx2
#define SK_ISA_NAME "avx2"
#include "isa/kernels.hpp"
#include "isa/pack_avx2.hpp"
#include "isa/table.hpp"

namespace sk {
const Kernels* kernels_avx2() { return &avx2::kTable; }
}  // namespace sk
