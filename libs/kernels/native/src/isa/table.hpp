// The function table of one instruction set; included last, after its fast_*.hpp.
#pragma once
#include "isa/attention_ops.hpp"
#include "isa/matrix_ops.hpp"
#include "isa/norm_ops.hpp"

namespace sk::SK_ISA {

static const Kernels kTable = {
    .name = SK_ISA_NAME,
    .rms_norm = rms_norm,
    .add_rms_norm = add_rms_norm,
    .rms_norm_gated = rms_norm_gated,
    .l2_norm = l2_norm,
    .silu_mul = silu_mul,
    .add = add,
    .delta_gates = delta_gates,
    .delta_scan = delta_scan,
    .conv_silu = conv_silu,
    .head_norm_rope = head_norm_rope,
    .store_half = store_half,
    .attention = attention,
    .load_row = load_row,
    .matmul = matmul,
    .quantize_row = quantize_row,
#if defined(SK_AMX)
    .fast_tasks = amx_tasks,
    .fast_task = amx_task,
    .fast_scratch_bytes = amx_scratch_bytes,
#else
    .fast_tasks = fast_tasks,
    .fast_task = fast_task,
    .fast_scratch_bytes = fast_scratch_bytes,
#endif
    .row_max = row_max,
    .exp_row = exp_row,
    .sum_exp = sum_exp,
    .exp_values = exp_values,
};

}  // namespace sk::SK_ISA
