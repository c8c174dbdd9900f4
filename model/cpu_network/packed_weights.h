// Weights in the order in which kernels read them.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_PACKED_WEIGHTS_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_PACKED_WEIGHTS_H_

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "model/cpu_network/kernels.h"

namespace diffusiond {

struct WeightShape {
  size_t out = 0;
  size_t in = 0;
  size_t kernel = 1;    // Of [out, in, kernel, kernel].
  size_t first_in = 0;  // Channels of the first of two inputs; 0: there is one.
};

// One dimension of a kernel's transform, G: a row for each point, in order.
std::vector<std::array<double, 3>> KernelTransform(Tiling tiling);

// Floats of [group of panels][tap][input][block of channels][panel][channel][kPanel], or with a
// frequency for the tap.
size_t PackedSize(const WeightShape& shape, Tiling tiling);

// For Winograd, the kernels' transforms G g G^T, in double precision, rounded once. `packed`:
// PackedSize floats.
void Pack(const WeightShape& shape, Tiling tiling, std::span<const float> weights, float* packed);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_PACKED_WEIGHTS_H_
