// SchedulerConfig <-> diffusers' scheduler_config.json.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_SCHEDULER_CONFIG_JSON_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_SCHEDULER_CONFIG_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/diffusion/scheduler_config.h"

namespace diffusiond {

// Reads the file of any scheduler class that is built on DDPM's noise schedule, as DDPMScheduler
// would read it: absent and null fields take DDPMScheduler's defaults, fields of the other class
// alone are ignored, class_name is kept; and EDMEulerScheduler's. INVALID_ARGUMENT names the field,
// what was found and what is allowed, for instance a class with a schedule of another kind (score
// SDE). The result passes Validate.
absl::StatusOr<SchedulerConfig> ParseSchedulerConfig(absl::string_view json);

// All fields that diffusers writes for DDPMScheduler and DDIMScheduler; for other classes those
// that SchedulerConfig knows. ParseSchedulerConfig gives `config` back.
absl::StatusOr<std::string> FormatSchedulerConfig(const SchedulerConfig& config);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_SCHEDULER_CONFIG_JSON_H_
