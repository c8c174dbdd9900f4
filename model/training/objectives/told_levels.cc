#include "model/training/objectives/told_levels.h"

#include <cmath>
#include <vector>

#include "model/status/status_macros.h"

namespace diffusiond {

absl::StatusOr<ToldLevels> ToldLevels::Create(const SchedulerConfig& config,
                                              const NoiseSchedule& schedule, torch::Device device) {
  if (!config.tells_log_sigma()) return ToldLevels(torch::Tensor());
  RETURN_IF_ERROR(CheckTold(config));
  std::vector<float> levels;
  for (const double alpha_bar : schedule.alphas_cumprod()) {
    levels.push_back(
        static_cast<float>(ToldLogSigma(std::sqrt(alpha_bar), std::sqrt(1 - alpha_bar))));
  }
  return ToldLevels(torch::tensor(levels, torch::kFloat32).to(device));
}

}  // namespace diffusiond
