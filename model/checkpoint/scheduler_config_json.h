// SchedulerConfig <-> diffusers' scheduler_config.json.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_SCHEDULER_CONFIG_JSON_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_SCHEDULER_CONFIG_JSON_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/config/scheduler_config.h"

namespace diffusiond {

// Reads the file of any scheduler class that is built on DDPM's noise schedule, and
// EDMEulerScheduler's, as that class of diffusers would: absent and null fields take its defaults,
// those that it does not know change nothing; scheduler_fields.h says what each does. `warnings`
// gets a sentence for each field that no class knows. `class_name`, unless empty, is what
// model_index.json says; it goes before the file's own, as in diffusers. INVALID_ARGUMENT names the
// field, what was found and what is allowed, for instance a class with a schedule of another kind
// (score SDE). The result passes Validate.
absl::StatusOr<SchedulerConfig> ParseSchedulerConfig(absl::string_view json,
                                                     std::vector<std::string>* warnings,
                                                     const std::string& class_name = "");
absl::StatusOr<SchedulerConfig> ParseSchedulerConfig(absl::string_view json);

// All fields that diffusers writes for DDPMScheduler and DDIMScheduler; for other classes those
// that SchedulerConfig knows. ParseSchedulerConfig gives `config` back.
absl::StatusOr<std::string> FormatSchedulerConfig(const SchedulerConfig& config);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_SCHEDULER_CONFIG_JSON_H_
