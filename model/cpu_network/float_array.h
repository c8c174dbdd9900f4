// Memory for weights and activations.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_FLOAT_ARRAY_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_FLOAT_ARRAY_H_

#include <cstddef>
#include <memory>

namespace diffusiond {

struct FreeFloats {
  void operator()(float* floats) const;
};

// Aligned to vectors; of some size, in huge pages where the system gives them: a network's weights
// are read once a step, and fewer pages have to be found. Not initialised.
using FloatArray = std::unique_ptr<float[], FreeFloats>;

// Throws std::bad_alloc.
FloatArray MakeFloatArray(size_t count);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_FLOAT_ARRAY_H_
