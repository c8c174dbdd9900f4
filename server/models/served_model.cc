#include "server/models/served_model.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

absl::Status ForModel(const std::string& name, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("model ", name, ": ", status.message()));
}

}  // namespace

absl::StatusOr<ServedModel> MakeServedModel(const std::string& name, const CheckpointConfig& config,
                                            const std::string& digest, uint64_t num_parameters,
                                            ServedNumerics numerics,
                                            std::vector<std::string> warnings) {
  absl::StatusOr<ModelSchedule> schedule = MakeModelSchedule(config.scheduler);
  if (!schedule.ok()) return ForModel(name, schedule.status());
  absl::StatusOr<DefaultSampling> defaults = ResolveDefaultSampling(config);
  if (!defaults.ok()) return ForModel(name, defaults.status());
  ServedModel model;
  model.name = name;
  model.digest = digest;
  model.width = static_cast<int>(config.unet.sample_width);
  model.height = static_cast<int>(config.unet.sample_height);
  model.channels = static_cast<int>(config.unet.in_channels);
  model.class_names = config.class_names;
  model.class_names.resize(static_cast<size_t>(NumClasses(config)));
  model.is_conditional = config.unet.num_class_embeds.has_value();
  model.has_classifier = config.classifier.has_value();
  model.null_class_id = config.null_class_id;
  model.num_parameters = num_parameters;
  model.scheduler = config.scheduler;
  model.defaults = {std::move(defaults->options), defaults->guidance_scale};
  model.warnings = std::move(warnings);
  model.warnings.insert(model.warnings.end(), defaults->warnings.begin(), defaults->warnings.end());
  model.unavailable_samplers = std::move(defaults->unavailable);
  model.numerics = std::move(numerics);
  model.plans = std::make_shared<PlanCache>(
      [schedule = *std::move(schedule)](const SamplingOptions& options) {
        return CompilePlan(schedule, options);
      });
  return model;
}

}  // namespace diffusiond
