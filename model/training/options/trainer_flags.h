// diffusion-train's flags of the network and the run.
#ifndef DIFFUSIOND_MODEL_TRAINING_OPTIONS_TRAINER_FLAGS_H_
#define DIFFUSIOND_MODEL_TRAINING_OPTIONS_TRAINER_FLAGS_H_

#include <string>

#include "absl/flags/declare.h"
#include "absl/status/statusor.h"
#include "model/training/data/dataset.h"
#include "model/training/options/trainer_options.h"

ABSL_DECLARE_FLAG(std::string, out);
ABSL_DECLARE_FLAG(uint64_t, seed);

namespace diffusiond {

// Of a network for images like those of `data`. INVALID_ARGUMENT names the flag or field; what
// Validate checks is not checked here.
absl::StatusOr<TrainerOptions> TrainerOptionsFromFlags(const ImageDataset& data);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OPTIONS_TRAINER_FLAGS_H_
