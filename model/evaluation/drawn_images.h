// The model's own images, for whoever judges them.
#ifndef DIFFUSIOND_MODEL_EVALUATION_DRAWN_IMAGES_H_
#define DIFFUSIOND_MODEL_EVALUATION_DRAWN_IMAGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/imaging/image.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/sampler.h"

namespace diffusiond {

struct Setting {
  SamplingOptions sampling;
  double guidance_scale = 1;
  int samples = 0;

  std::string ToString() const;
};

// What the model is served with.
absl::StatusOr<Setting> DefaultSetting(const CheckpointConfig& config, int samples);

struct DrawnImages {
  std::vector<Frame> frames;
  std::vector<int64_t> labels;
};

// setting.samples images, class after class in turn; without classes, of none. INVALID_ARGUMENT:
// guidance by a model that has no null class, or what CompilePlan refuses.
absl::StatusOr<DrawnImages> Draw(const CheckpointConfig& config, const ModelSchedule& schedule,
                                 const Setting& setting, uint64_t seed, PlanRunner* runner);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_DRAWN_IMAGES_H_
