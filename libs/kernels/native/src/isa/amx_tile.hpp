// The tile operations of AMX int8, each with the meaning of its instruction. With SK_AMX_EMULATED
// they are plain C++ that stops the process where the hardware would raise an exception.
#pragma once
#include <stdint.h>
#include <string.h>
#if defined(SK_AMX_EMULATED)
#include <stdio.h>
#include <stdlib.h>
#endif

namespace sk::SK_ISA {

constexpr int kTiles = 8;
constexpr uint32_t kTileRows = 16;
constexpr uint32_t kTileRowBytes = 64;

// What LDTILECFG reads.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void shape(int tile, uint32_t tile_rows, uint32_t bytes) {
    rows[tile] = (uint8_t)tile_rows;
    row_bytes[tile] = (uint16_t)(tile_rows == 0 ? 0 : bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

#if defined(SK_AMX_EMULATED)

struct Tiles {
  bool configured;
  TileConfig config;
  uint8_t data[kTiles][kTileRows][kTileRowBytes];
};
static thread_local Tiles tiles;

SK_INLINE void tile_must(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "amx emulation: %s\n", what);
  abort();
}

SK_INLINE void tile_configure(const TileConfig& config) {
  tile_must(config.palette == 1 && config.start_row == 0, "palette 1 from row 0 is what there is");
  for (int t = 0; t < 16; ++t) {
    const bool used = config.rows[t] != 0;
    tile_must(used == (config.row_bytes[t] != 0), "a tile has rows and bytes, or neither");
    tile_must(!used || t < kTiles, "there are eight tiles");
    tile_must(config.rows[t] <= kTileRows && config.row_bytes[t] <= kTileRowBytes, "too large");
  }
  tiles.configured = true;
  tiles.config = config;
  memset(tiles.data, 0, sizeof tiles.data);
}

SK_INLINE void tile_release() { tiles.configured = false; }

template <int Tile>
SK_INLINE void tile_usable() {
  tile_must(tiles.configured && tiles.config.rows[Tile] != 0, "the tile is not configured");
}

template <int Tile>
SK_INLINE void tile_zero() {
  tile_usable<Tile>();
  memset(tiles.data[Tile], 0, sizeof tiles.data[Tile]);
}

template <int Tile>
SK_INLINE void tile_load(const void* from, uint64_t stride) {
  tile_zero<Tile>();  // what is past the configured rows and bytes reads as zero
  for (uint32_t r = 0; r < tiles.config.rows[Tile]; ++r)
    memcpy(tiles.data[Tile][r], (const uint8_t*)from + r * stride, tiles.config.row_bytes[Tile]);
}

template <int Tile>
SK_INLINE void tile_store(void* to, uint64_t stride) {
  tile_usable<Tile>();
  for (uint32_t r = 0; r < tiles.config.rows[Tile]; ++r)
    memcpy((uint8_t*)to + r * stride, tiles.data[Tile][r], tiles.config.row_bytes[Tile]);
}

// Sum[m][n] += sum over k and i of A[m][4k + i] * B[k][4n + i], A signed, B unsigned bytes.
template <int Sum, int A, int B>
SK_INLINE void tile_dot() {
  tile_usable<Sum>(), tile_usable<A>(), tile_usable<B>();
  static_assert(Sum != A && Sum != B && A != B);
  const TileConfig& c = tiles.config;
  tile_must(c.row_bytes[A] % 4 == 0 && c.row_bytes[B] % 4 == 0, "rows are of whole words");
  tile_must(c.row_bytes[A] / 4 == c.rows[B], "A is as wide as B is high");
  tile_must(c.rows[Sum] == c.rows[A] && c.row_bytes[Sum] == c.row_bytes[B], "sums do not fit");
  for (uint32_t m = 0; m < c.rows[A]; ++m) {
    for (uint32_t n = 0; n < c.row_bytes[B] / 4u; ++n) {
      uint32_t sum;  // wraps, as in hardware
      memcpy(&sum, tiles.data[Sum][m] + 4 * n, 4);
      for (uint32_t k = 0; k < c.rows[B]; ++k)
        for (uint32_t i = 0; i < 4; ++i)
          sum += (uint32_t)((int8_t)tiles.data[A][m][4 * k + i] * tiles.data[B][k][4 * n + i]);
      memcpy(tiles.data[Sum][m] + 4 * n, &sum, 4);
    }
  }
}

#else

// Assembly rather than intrinsics: GCC's do not say that a load reads memory.
SK_INLINE void tile_configure(const TileConfig& config) {
  asm volatile("ldtilecfg %0" : : "m"(config));
}
SK_INLINE void tile_release() { asm volatile("tilerelease"); }

template <int Tile>
SK_INLINE void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(Tile));
}
template <int Tile>
SK_INLINE void tile_load(const void* from, uint64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(Tile) : "memory");
}
template <int Tile>
SK_INLINE void tile_store(void* to, uint64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(Tile) : "memory");
}
// Sum[m][n] += sum over k and i of A[m][4k + i] * B[k][4n + i], A signed, B unsigned bytes.
template <int Sum, int A, int B>
SK_INLINE void tile_dot() {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sum), "i"(A), "i"(B));
}

#endif

}  // namespace sk::SK_ISA
