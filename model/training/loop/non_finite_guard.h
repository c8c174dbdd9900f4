// A step whose loss or gradient is not a number.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_NON_FINITE_GUARD_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_NON_FINITE_GUARD_H_

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "model/training/options/on_non_finite.h"

namespace diffusiond {

// A step that cannot be taken.
struct NonFiniteStep {
  int64_t step = 0;  // Counted from 1.
  double loss = 0;
  double gradient_norm = 0;
  // The batch: each image's index in the training data, and its loss.
  std::span<const int64_t> images;
  std::span<const float> losses;
};

// Says the step, the loss, the gradient's norm, and which images of the batch had a loss that is
// not finite; or the whole batch, where all losses are finite and the gradient is not.
std::string Describe(const NonFiniteStep& step);

// OK: skip the step, which is then the `skipped`-th of the run that was, counted from 1. INTERNAL,
// with the description: stop, because the policy says so or more than `limit` would be skipped.
absl::Status JudgeNonFinite(const NonFiniteStep& step, OnNonFinite policy, int64_t skipped,
                            int64_t limit);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_NON_FINITE_GUARD_H_
