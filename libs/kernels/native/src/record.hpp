#pragma once
#include "program.hpp"

namespace sk {

// Each checks its shapes and appends one operation; record.cpp.
void record_embed(Program& program, std::shared_ptr<Weight> table, sk_register dst);
void record_norm(Program& program, sk_register src, const Tensor& weight, float eps,
                 sk_register dst);
void record_add_norm(Program& program, sk_register residual, sk_register delta,
                     const Tensor& weight, float eps, sk_register dst);
void record_linear(Program& program, std::shared_ptr<Weight> weight, const Tensor* bias,
                   sk_register src, sk_register dst);
void record_silu_mul(Program& program, sk_register gate, sk_register up, sk_register dst);
void record_conv(Program& program, sk_register src, const Tensor& weight, uint32_t taps,
                 sk_register dst);
void record_delta(Program& program, const sk_gated_delta& desc, const Tensor& a_log,
                  const Tensor& dt_bias);
void record_gated_norm(Program& program, sk_register src, sk_register gate, const Tensor& weight,
                       float eps, sk_register dst);
void record_attention(Program& program, const sk_attention& desc, const Tensor* q_norm,
                      const Tensor* k_norm);
void record_logits(Program& program, std::shared_ptr<Weight> weight, sk_register src);

}  // namespace sk
