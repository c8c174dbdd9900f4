// What the network is told of the noise level: by most models the timestep, by those of
// SchedulerConfig::tells_log_sigma log(sigma) / 4, as samplers tell them.
#ifndef DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_TOLD_LEVELS_H_
#define DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_TOLD_LEVELS_H_

#include <torch/torch.h>

#include <utility>

#include "absl/status/statusor.h"
#include "model/config/scheduler_config.h"
#include "model/diffusion/noise_schedule.h"

namespace diffusiond {

// Immutable.
class ToldLevels {
 public:
  // `schedule` is the configuration's. UNIMPLEMENTED as CheckTold.
  static absl::StatusOr<ToldLevels> Create(const SchedulerConfig& config,
                                           const NoiseSchedule& schedule, torch::Device device);

  // timesteps [B] int64 -> [B].
  torch::Tensor At(const torch::Tensor& timesteps) const {
    return levels_.defined() ? levels_.index_select(0, timesteps) : timesteps;
  }

 private:
  explicit ToldLevels(torch::Tensor levels) : levels_(std::move(levels)) {}

  torch::Tensor levels_;  // [T] float32; undefined: the timesteps themselves.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_TOLD_LEVELS_H_
