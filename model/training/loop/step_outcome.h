// What a step found, before the weights move.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_STEP_OUTCOME_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_STEP_OUTCOME_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace diffusiond {

// Of the whole batch.
struct StepOutcome {
  double loss = 0;              // The mean over its images.
  double gradient_norm = 0;     // Before clipping.
  std::vector<int64_t> images;  // Indices in the training data,
  std::vector<int64_t> timesteps;
  std::vector<float> losses;  // and the loss of each.
  absl::Duration waited;      // This process, for data.
  bool stop = false;          // Some process was asked to stop.

  bool finite() const { return std::isfinite(loss) && std::isfinite(gradient_norm); }
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_STEP_OUTCOME_H_
