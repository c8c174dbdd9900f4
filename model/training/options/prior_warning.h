// Whether training reaches the noise that drawing begins with.
#ifndef DIFFUSIOND_MODEL_TRAINING_OPTIONS_PRIOR_WARNING_H_
#define DIFFUSIOND_MODEL_TRAINING_OPTIONS_PRIOR_WARNING_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/config/scheduler_config.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

// More of the image at the last timestep than this, in bits/dim of L_T, is warned of.
inline constexpr double kMostPriorBits = 0.01;

// A sentence, with numbers, if L_T of these images (Ho et al. 2020, equation 5) is more; else
// empty, also for a model of EDM, which has no last timestep. INVALID_ARGUMENT: as
// NoiseSchedule::Create.
absl::StatusOr<std::string> PriorWarning(const SchedulerConfig& scheduler,
                                         const ImageDataset& images);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OPTIONS_PRIOR_WARNING_H_
