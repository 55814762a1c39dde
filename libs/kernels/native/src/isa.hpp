#pragma once
#include <string>
#include <vector>

#include "isa/kernels.hpp"

namespace sk {

// Instruction sets this machine can run, best first; `portable` is always the last.
const std::vector<const Kernels*>& available_isas();
// By name; null or empty: SANCTUM_ISA, else the best. Fails with SK_UNSUPPORTED.
const Kernels& choose_isa(const char* name);

}  // namespace sk
