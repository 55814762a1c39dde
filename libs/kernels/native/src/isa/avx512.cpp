#define SK_ISA avx512
#define SK_ISA_NAME "avx512"
#include "isa/kernels.hpp"
#include "isa/pack_avx512.hpp"
#include "isa/table.hpp"

namespace sk {
const Kernels* kernels_avx512() { return &avx512::kTable; }
}  // namespace sk
