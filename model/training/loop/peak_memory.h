// How much memory a run took.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_PEAK_MEMORY_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_PEAK_MEMORY_H_

#include <torch/torch.h>

#include <string>

namespace diffusiond {

// The most that this process ever held: "1234 MiB", and on a GPU also what LibTorch's allocator
// held there: "1234 MiB, 5678 MiB on cuda:0".
std::string PeakMemory(torch::Device device);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_PEAK_MEMORY_H_
