// Draws whole images, for programs that have no engine: the trainer's sheets, the evaluation.
#ifndef DIFFUSIOND_MODEL_SAMPLING_DRAW_IMAGES_H_
#define DIFFUSIOND_MODEL_SAMPLING_DRAW_IMAGES_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"
#include "model/sampling/plan_runner.h"

namespace diffusiond {

struct DrawSpec {
  uint64_t seed = 0;
  int64_t null_label = 0;
  Guidance guidance = {};
};

// One image per label; image i is (seed, i), as the server draws it.
absl::StatusOr<std::vector<Frame>> DrawImages(const SamplingPlan& plan, const DrawSpec& spec,
                                              std::span<const int64_t> labels, PlanRunner* runner);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_DRAW_IMAGES_H_
