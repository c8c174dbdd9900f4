#include "model/training/objective_options.h"

#include "absl/strings/str_cat.h"
#include "model/training/timestep_sampling.h"

namespace diffusiond {

absl::Status Validate(const ObjectiveOptions& options, const SchedulerConfig& scheduler) {
  absl::Status status = CheckTrainable(scheduler);
  status.Update(Validate(options.weight));
  status.Update(ParseTimestepSampling(options.timestep_sampling).status());
  return status;
}

std::string Describe(const ObjectiveOptions& options) {
  if (options == ObjectiveOptions()) return "";
  return absl::StrCat(" weight ", options.weight.name, " gamma ", options.weight.min_snr_gamma,
                      " timesteps ", options.timestep_sampling);
}

}  // namespace diffusiond
