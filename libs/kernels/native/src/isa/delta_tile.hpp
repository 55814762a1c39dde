// The gated delta scan of a prompt: value rows in the lanes of a vector, so that a sum over the
// keys needs no fold across lanes. Every sum keeps the order of the row by row scan.
#pragma once
#include "isa/lanes.hpp"

namespace sk::SK_ISA {

constexpr uint32_t kTileKeys = 128;
constexpr uint32_t kTileMinTokens = 16;  // below, turning the state costs more than it saves
constexpr uint32_t kDeltaTileRows = SK_WIDTH;

struct DeltaTile {
  vf state[kTileKeys];  // 16 lanes of eight chunks of keys, the chunks as they are folded
  vf delta, decay;
  vf held, read;
};

// Key of place `at` in a tile: lane, then chunks 0 4 1 5 2 6 3 7.
SK_INLINE uint32_t tile_key(uint32_t at) {
  const uint32_t chunk = (at & 1) * 4 + (at % 8) / 2;
  return 16 * chunk + at / 8;
}

// sum() of lanes.hpp over the 16 lanes. The zero is what its accumulators start from.
SK_INLINE vf fold_lanes(const vf* lanes) {
  vf e[4];
  for (int i = 0; i < 4; ++i) e[i] = (lanes[i] + lanes[i + 8]) + (lanes[i + 4] + lanes[i + 12]);
  return ((e[0] + e[2]) + (e[1] + e[3])) + (vf){};
}

// Ends a token (Ends: adds its delta to the state and reads it) and begins the next (Begins:
// decays the state and recalls what it holds for the new key), in one pass over the state.
template <bool Ends, bool Begins>
static void delta_pass(DeltaTile& tile, const float* q, const float* k, const float* next_k) {
  vf reads[16], holds[16];
  const vf delta = tile.delta, decay = tile.decay;
  for (uint32_t lane = 0; lane < 16; ++lane) {
    vf read[8], hold[8];
#pragma GCC unroll 8
    for (uint32_t i = 0; i < 8; ++i) {
      const uint32_t key = 16 * ((i & 1) * 4 + i / 2) + lane;
      vf s = tile.state[8 * lane + i];
      if constexpr (Ends) {
        s = s + k[key] * delta;
        read[i] = s * q[key];
      }
      if constexpr (Begins) {
        s = s * decay;
        hold[i] = s * next_k[key];
      }
      tile.state[8 * lane + i] = s;
    }
    if constexpr (Ends)
      reads[lane] =
          ((read[0] + read[1]) + (read[2] + read[3])) + ((read[4] + read[5]) + (read[6] + read[7]));
    if constexpr (Begins)
      holds[lane] =
          ((hold[0] + hold[1]) + (hold[2] + hold[3])) + ((hold[4] + hold[5]) + (hold[6] + hold[7]));
  }
  if constexpr (Ends) tile.read = fold_lanes(reads);
  if constexpr (Begins) tile.held = fold_lanes(holds);
}

static void delta_tile(const DeltaScan& s, uint32_t row) {
  DeltaTile tile;
  float turned[kTileKeys][SK_WIDTH];
  float* state = s.state + (uint64_t)row * kTileKeys;
  for (uint32_t i = 0; i < kTileKeys; ++i)
    for (uint32_t r = 0; r < SK_WIDTH; ++r) turned[i][r] = state[r * kTileKeys + tile_key(i)];
  memcpy(tile.state, turned, sizeof turned);
  tile.decay = splat(s.decay[0]).p[0];
  delta_pass<false, true>(tile, nullptr, nullptr, s.k);
  for (uint32_t t = 0; t < s.count; ++t) {
    const float* q = s.q + (uint64_t)t * s.qk_stride;
    const float* k = s.k + (uint64_t)t * s.qk_stride;
    vf value;
    memcpy(&value, s.v + (uint64_t)t * s.v_stride + row, sizeof value);
    tile.delta = (value - tile.held) * s.beta[(uint64_t)t * s.gate_stride];
    if (t + 1 < s.count) {
      tile.decay = splat(s.decay[(uint64_t)(t + 1) * s.gate_stride]).p[0];
      delta_pass<true, true>(tile, q, k, k + s.qk_stride);
    } else {
      delta_pass<true, false>(tile, q, k, nullptr);
    }
    memcpy(s.dst + (uint64_t)t * s.dst_stride + row, &tile.read, sizeof tile.read);
  }
  memcpy(turned, tile.state, sizeof turned);
  for (uint32_t i = 0; i < kTileKeys; ++i)
    for (uint32_t r = 0; r < SK_WIDTH; ++r) state[r * kTileKeys + tile_key(i)] = turned[i][r];
}

}  // namespace sk::SK_ISA
