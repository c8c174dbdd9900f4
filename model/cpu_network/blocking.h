// How much the kernels take at a time, and where it lies meanwhile: what is near in the caches.
// Nothing here changes a byte of the results but the points and the transforms made of them.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_BLOCKING_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_BLOCKING_H_

#include <algorithm>
#include <array>
#include <cstddef>

#include "model/cpu_network/kernels.h"

namespace diffusiond {

inline constexpr size_t kGroupChannels = kPanelGroup * kPanel;

// Output pixels of a direct convolution, and queries, that go through the weights together.
inline constexpr size_t kPixelBlock = 48;
inline constexpr size_t kQueryBlock = 48;

// Floats that the pointers to each pixel under each tap of two inputs take.
inline constexpr size_t RowPointerFloats(size_t kernel) {
  return 2 * kernel * kernel * kPixelBlock * sizeof(float*) / sizeof(float);
}

// F(4x4, 3x3) interpolates at 0, +-a, +-b and infinity. These have less rounding error than
// 1 and 2, and all coefficients that are made of them are exact.
inline constexpr float kPointA = 0.625f;
inline constexpr float kPointB = 1.5f;

// One dimension of a kernel's transform, G: at each point p, (1, p, p^2) / N, N the product of p's
// distances from the others; at infinity (0, 0, 1), which stands in no table. Points other than 0
// come in pairs, p and -p.
template <size_t kPoints>
using KernelTransform = std::array<std::array<double, 3>, kPoints>;
template <size_t kPoints>
constexpr KernelTransform<kPoints> MakeKernelTransform(const std::array<double, kPoints>& points) {
  KernelTransform<kPoints> rows = {};
  for (size_t i = 0; i < kPoints; ++i) {
    double distances = 1;
    for (size_t j = 0; j < kPoints; ++j) {
      if (j != i) distances *= points[i] - points[j];
    }
    rows[i] = {1 / distances, points[i] / distances, points[i] * points[i] / distances};
  }
  return rows;
}
inline constexpr KernelTransform<5> kKernelTransformF4 =
    MakeKernelTransform<5>({0, kPointA, -kPointA, kPointB, -kPointB});
inline constexpr KernelTransform<3> kKernelTransformF2 = MakeKernelTransform<3>({0, 1, -1});

// Winograd tiles that go through the weights together: as many as keep their transformed inputs
// near, [frequency][tile][channel].
inline constexpr size_t kMinTileBlock = 24;
inline constexpr size_t kMaxTileBlock = 48;
inline constexpr size_t kTileBlockBytes = size_t{1} << 20;

inline size_t TileBlockSize(size_t tile_size, size_t in_channels) {
  const size_t tile_bytes = tile_size * tile_size * WholePanels(in_channels) * sizeof(float);
  return std::clamp(kTileBlockBytes / tile_bytes, kMinTileBlock, kMaxTileBlock);
}

// Floats from one frequency to the next. A little apart, as steps of whole pages would all fall
// into the same lines of a cache.
inline constexpr size_t kApart = 16;
inline size_t TileInputStride(size_t tiles, size_t in_channels) {
  return tiles * WholePanels(in_channels) + kApart;
}
inline size_t TileSumStride(size_t tiles) { return tiles * kGroupChannels + kApart; }
// Of the transforms of some kernels.
inline constexpr size_t kTransformStride = kDepth * kGroupChannels + kApart;

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_BLOCKING_H_
