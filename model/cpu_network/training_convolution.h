// 3x3 convolutions of stride 1 and padding 1 for a network that learns, by F(4x4, 3x3), with their
// gradients. Images lie as LibTorch has them, [rows][channels][height][width]; channels are
// multiples of kPanel.
//
// Functions of threads: images are divided among `threads` threads of OpenMP's, which are
// LibTorch's as well. Thread-safe; each calling thread keeps memory, which grows to its largest
// use.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_TRAINING_CONVOLUTION_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_TRAINING_CONVOLUTION_H_

#include <cstddef>

#include "model/cpu_network/training_kernels.h"

namespace diffusiond {

// Of all images of a batch.
struct BatchShape {
  size_t rows = 0, height = 0, width = 0;
};

// [out][in][3][3].
struct ConvolutionWeights {
  const float* data = nullptr;
  size_t in = 0, out = 0;
  // From outputs to inputs: the gradient of a convolution's input is such a convolution of its
  // output's, with each kernel turned by half a turn.
  bool turned = false;

  size_t inputs() const { return turned ? out : in; }
  size_t outputs() const { return turned ? in : out; }
  size_t size() const { return in * out * 9; }
};

// y = the convolution of x, [rows][weights.inputs()][height][width], plus `bias` unless that is
// null.
void ConvolveByF4(const BatchShape& shape, const float* x, const ConvolutionWeights& weights,
                  const float* bias, float* y, int threads);

// The gradient of the weights, [out][in][3][3], from x and that of the result. Its last bits depend
// on the number of threads.
void WeightGradientByF4(const BatchShape& shape, const float* x, size_t in, const float* dy,
                        size_t out, float* gradient, int threads);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_TRAINING_CONVOLUTION_H_
