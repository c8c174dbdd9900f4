// Weights in the order in which kernels read them.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_PACKED_WEIGHTS_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_PACKED_WEIGHTS_H_

#include <cstddef>
#include <span>

#include "model/cpu_network/kernels.h"

namespace diffusiond {

struct WeightShape {
  size_t out = 0;
  size_t in = 0;
  size_t kernel = 1;    // Of [out, in, kernel, kernel].
  size_t first_in = 0;  // Channels of the first of two inputs; 0: there is one.
  Tiling tiling = Tiling::kDirect;
  bool transform_at_use = false;  // For Winograd: kernels are kept, not their transforms.
};

// Floats of
//   directly:         [group of panels][tap][input][block of channels][panel][channel][kPanel]
//   Winograd:         [group of panels][block of channels][frequency][panel][channel][kPanel]
//   transform_at_use: [group of panels][channel][panel][tap][kPanel]
size_t PackedSize(const WeightShape& shape);

// `packed`: PackedSize floats.
void Pack(const WeightShape& shape, std::span<const float> weights, float* packed);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_PACKED_WEIGHTS_H_
