// What a noise-conditional classifier is trained to do, for classifier guidance (Dhariwal and
// Nichol 2021, section 4): the network sees x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps
// and t, or what else the denoiser is told of it (told_levels.h), and the loss is -log p(label |
// x_t), in nats. Its minimiser is the probability itself, whose gradient guides exactly.
#ifndef DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_CLASSIFIER_OBJECTIVE_H_
#define DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_CLASSIFIER_OBJECTIVE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/config/scheduler_config.h"
#include "model/training/objectives/objective.h"

namespace diffusiond {

// INVALID_ARGUMENT: a model without a table of betas; else as ToldLevels.
absl::StatusOr<std::unique_ptr<const Objective>> MakeClassifierObjective(
    const SchedulerConfig& scheduler, torch::Device device);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_CLASSIFIER_OBJECTIVE_H_
