// What memory a network takes, told from its configuration before any of it is taken.
#ifndef DIFFUSIOND_MODEL_CONFIG_STEP_MEMORY_H_
#define DIFFUSIOND_MODEL_CONFIG_STEP_MEMORY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "model/config/unet_config.h"

namespace diffusiond {

// What runs at once.
struct StepLoad {
  int64_t micro_batch = 1;
  int64_t lanes = 1;       // Micro-batches side by side; they share the weights.
  bool gradients = false;  // The image's gradient is taken, as of a classifier.
};

// In bytes. Doubles: no configuration overflows them.
struct StepMemory {
  double weights = 0;
  double activations = 0;  // Of all lanes at the moment when they are most.
  std::string most_for;    // Where that is, with the fields that make it so.

  double total() const { return weights + activations; }
};

// Of a valid configuration, with so many parameters. It follows UNet's Forward on the CPU, tensor
// by tensor, and is within a factor of two of what is measured. Never less for larger
// micro-batches, more lanes, pixels, channels or layers.
StepMemory EstimateStepMemory(const UNetConfig& config, double parameters, const StepLoad& load);

// Of --max_model_memory: the flag's bytes; 0: half of what the machine gives this process.
inline constexpr int64_t kMinModelMemory = int64_t{1} << 20;
inline constexpr int64_t kMaxModelMemory = int64_t{1} << 50;
int64_t ModelMemoryLimit(int64_t max_model_memory);

// INVALID_ARGUMENT names the flag, its value and the range.
absl::Status CheckMaxModelMemory(int64_t max_model_memory);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CONFIG_STEP_MEMORY_H_
