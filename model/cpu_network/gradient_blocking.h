// How many tiles the weights' gradient takes at a time, and where their transforms lie meanwhile.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_GRADIENT_BLOCKING_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_GRADIENT_BLOCKING_H_

#include <algorithm>
#include <cstddef>

#include "model/cpu_network/blocking.h"

namespace diffusiond {

inline constexpr size_t kFrequencies = 36;  // Of F(4x4, 3x3).

// [frequency][tile][channels and kApart more], of x and of dy. More tiles at a time pass less often
// through the sums, fewer stay nearer.
struct GradientBlock {
  static constexpr size_t kBytes = size_t{8} << 20;
  static constexpr size_t kMinTiles = 128, kMaxTiles = 256;

  GradientBlock(size_t in, size_t out) : x_stride(in + kApart), dy_stride(out + kApart) {
    const size_t tile_bytes = kFrequencies * (x_stride + dy_stride) * sizeof(float);
    tiles = std::clamp(kBytes / tile_bytes, kMinTiles, kMaxTiles);
  }
  size_t x_frequency_stride() const { return tiles * x_stride + kApart; }
  size_t dy_frequency_stride() const { return tiles * dy_stride + kApart; }

  size_t tiles;
  size_t x_stride, dy_stride;  // Floats from one tile to the next.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_GRADIENT_BLOCKING_H_
