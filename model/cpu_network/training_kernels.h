// What a network that learns is convolved with: 3x3 convolutions of stride 1 and padding 1 by
// F(4x4, 3x3), as kernels.h has them, with weights that change at every step, and the gradient of
// these weights. Channels fill whole panels.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_TRAINING_KERNELS_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_TRAINING_KERNELS_H_

#include <cstddef>

#include "model/cpu_network/kernels.h"

namespace diffusiond {

// Tiles of 4x4 outputs in so many images.
size_t TilesOfF4(size_t rows, size_t height, size_t width);

struct Matrix {
  const float* data = nullptr;
  size_t stride = 0;  // Floats from one row to the next.
};
// to[column][row] = from[row][column]; so LibTorch's images, [channels][pixels], become those of
// kernels.h, and back.
void Turn(const Matrix& from, size_t rows, size_t columns, float* to, size_t to_stride);

// Weights by tap, [in][3][3][out], packed as Convolve wants them, in single precision.
struct KernelsByTap {
  const float* weights = nullptr;
  size_t in = 0, out = 0;
  // Each kernel turned by half a turn: with `in` and `out` exchanged the gradient of a
  // convolution's input is such a convolution of its output's.
  bool turned = false;
};
size_t PackedKernelsSize(size_t in, size_t out);
void PackKernels(const KernelsByTap& kernels, Part groups, float* packed);

// How the weights' gradient is gathered, tile by tile (Lavin and Gray 2016, read backwards):
// sums = or += A dy A^T times B^T x B at each of 36 frequencies.
struct WeightGradient {
  Images x, dy;
  Part tiles;                // Of all images'.
  float* sums = nullptr;     // WeightGradientSums floats, added to.
  float* scratch = nullptr;  // WeightGradientScratch floats.
};
size_t WeightGradientSums(size_t in, size_t out);
size_t WeightGradientScratch(size_t in, size_t out);
void AddWeightGradient(const WeightGradient& gradient);

// The gradient itself, [in][3][3][out], of input channels `inputs`: G^T sums G, of the sum of
// `parts` sums.
void FinishWeightGradient(const float* const* sums, size_t parts, size_t in, size_t out,
                          Part inputs, float* gradient);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_TRAINING_KERNELS_H_
