// What a network is trained to do, as a user chooses it; README.md has the table of choices.
#ifndef DIFFUSIOND_MODEL_TRAINING_OPTIONS_OBJECTIVE_OPTIONS_H_
#define DIFFUSIOND_MODEL_TRAINING_OPTIONS_OBJECTIVE_OPTIONS_H_

#include <string>

#include "absl/status/status.h"
#include "model/config/scheduler_config.h"
#include "model/diffusion/loss_weights.h"
#include "model/training/batches/timestep_sampling.h"

namespace diffusiond {

struct ObjectiveOptions {
  LossWeighting weight;
  TimestepSampling timestep_sampling = TimestepSampling::kUniform;
  double vlb_weight = 0.001;    // lambda of a learned variance, see denoising_objective.h; 0 .. 1.
  bool learn_schedule = false;  // See schedule_objective.h.
  // Of log sigma in training, with a scheduler of EDM: P_mean and P_std (Karras et al. 2022).
  double edm_mean = -1.2;      // -20 .. 20.
  double edm_deviation = 1.2;  // Above 0, up to 20.

  friend bool operator==(const ObjectiveOptions&, const ObjectiveOptions&) = default;
};

// OK if every field is in range and they fit together and the model; else names the field, its
// value and what would do.
absl::Status Validate(const ObjectiveOptions& options, const SchedulerConfig& scheduler);

// What it changes of a run, for the run's fingerprint; empty for the defaults.
std::string Describe(const ObjectiveOptions& options);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OPTIONS_OBJECTIVE_OPTIONS_H_
