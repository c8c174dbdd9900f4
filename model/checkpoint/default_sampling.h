// What a checkpoint is drawn with unless a request says otherwise: by one function, for the server
// that loads it, the program that publishes it, and those that measure it.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_DEFAULT_SAMPLING_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_DEFAULT_SAMPLING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/sampling/sampler.h"

namespace diffusiond {

struct UnavailableSampler {
  std::string name;
  std::string reason;  // Of CompilePlan.
};

struct DefaultSampling {
  // Compile to a plan. Fields that its sampler does not read stand for the other samplers.
  SamplingOptions options;
  double guidance_scale = 1;  // Used when a class is asked for.
  // Where the options are not those that the files ask for, and why; a sentence each.
  std::vector<std::string> warnings;
  // Samplers that take such models, but not this one, whatever the steps and the spacing.
  std::vector<UnavailableSampler> unavailable;
};

// Generation defaults, or where they are unset the scheduler's. Options that compile to no plan
// give way to the nearest that do, with a warning. INVALID_ARGUMENT: as MakeModelSchedule, an
// unknown sampler, no sampler runs at all, or the network gives another number of channels than F
// has, and the learned variance.
absl::StatusOr<DefaultSampling> ResolveDefaultSampling(const CheckpointConfig& config);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_DEFAULT_SAMPLING_H_
