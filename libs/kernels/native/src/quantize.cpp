#include "quantize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.hpp"

namespace sk {

namespace {

struct Affine {
  float scale, bias;
};

Affine fit(const float* group, uint32_t size, uint32_t bits) {
  constexpr float kEps = 1e-7f;
  const float levels = static_cast<float>((1u << bits) - 1);
  const auto [low_at, high_at] = std::minmax_element(group, group + size);
  const float low = *low_at, high = *high_at;
  const bool low_edge = std::fabs(low) > std::fabs(high);
  float scale = std::max((high - low) / levels, kEps);
  if (!low_edge) scale = -scale;
  const float edge = low_edge ? low : high;
  const float steps = std::rint(edge / scale);
  if (steps == 0) return {scale, 0};
  return {edge / steps, edge};
}

void pack_group(const float* group, const AffineJob& job, Affine fitted, uint8_t* out) {
  const float levels = static_cast<float>((1u << job.bits) - 1);
  for (uint32_t i = 0; i < job.group_size; i += 8) {
    uint64_t word = 0;
    for (uint32_t k = 0; k < 8; ++k) {
      const float q = std::rint((group[i + k] - fitted.bias) / fitted.scale);
      const float clamped = std::isnan(q) ? 0 : std::clamp(q, 0.0f, levels);
      word |= static_cast<uint64_t>(clamped) << (k * job.bits);
    }
    std::memcpy(out + i / 8 * job.bits, &word, job.bits);
  }
}

void check(const AffineJob& job) {
  required(job.values, "values");
  required(job.packed, "packed");
  required(job.scales, "scales");
  required(job.biases, "biases");
  if (job.bits < 2 || job.bits > 8 || job.bits == 7)
    fail(SK_INVALID_ARGUMENT, "bits is %u, must be 2, 3, 4, 5, 6 or 8", job.bits);
  if (job.group_size != 32 && job.group_size != 64 && job.group_size != 128)
    fail(SK_INVALID_ARGUMENT, "group_size is %u, must be 32, 64 or 128", job.group_size);
  in_range(job.rows, 1, SK_MAX_DIM, "rows");
  in_range(job.cols, 1, SK_MAX_DIM, "cols");
  if (job.cols % job.group_size != 0)
    fail(SK_INVALID_ARGUMENT, "cols is %llu, no multiple of group_size %u",
         static_cast<unsigned long long>(job.cols), job.group_size);
}

}  // namespace

void quantize_affine(const AffineJob& job) {
  check(job);
  const uint64_t groups = job.rows * (job.cols / job.group_size);
  const uint64_t group_bytes = job.group_size / 8 * job.bits;
  auto* bytes = reinterpret_cast<uint8_t*>(job.packed);
  for (uint64_t g = 0; g < groups; ++g) {
    const float* group = job.values + g * job.group_size;
    const Affine fitted = fit(group, job.group_size, job.bits);
    job.scales[g] = fitted.scale;
    job.biases[g] = fitted.bias;
    pack_group(group, job, fitted, bytes + g * group_bytes);
  }
}

}  // namespace sk
