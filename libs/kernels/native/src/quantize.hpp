#pragma once
#include <cstdint>

namespace sk {

struct AffineJob {
  const float* values;  // [rows, cols]
  uint64_t rows;
  uint64_t cols;
  uint32_t bits;
  uint32_t group_size;
  uint32_t* packed;  // [rows, cols * bits / 32]
  float* scales;     // [rows, cols / group_size]
  float* biases;
};

// MLX's affine quantisation: the scale is anchored at the edge of larger magnitude, and set so
// that zero is represented exactly. Source: mlx/backend/cpu/quantized.cpp.
void quantize_affine(const AffineJob& job);

}  // namespace sk
