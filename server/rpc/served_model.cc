#include "server/rpc/served_model.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

absl::Status ForModel(const std::string& name, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("model ", name, ": ", status.message()));
}

ServedDefaults Defaults(const CheckpointConfig& config) {
  ServedDefaults defaults;
  defaults.sampling = DefaultSamplingOptions(config.scheduler);
  if (!config.generation.has_value()) return defaults;
  const GenerationDefaults& wanted = *config.generation;
  defaults.guidance_scale = wanted.guidance_scale;
  defaults.sampling = ForSampler(wanted.sampler, std::move(defaults.sampling));
  defaults.sampling.steps = wanted.steps;
  defaults.sampling.eta = wanted.eta;
  if (!wanted.variance.empty()) defaults.sampling.variance = wanted.variance;
  if (!wanted.timestep_spacing.empty()) {
    defaults.sampling.timestep_spacing = wanted.timestep_spacing;
  }
  return defaults;
}

// The network must give F alone, or with it the variance that it learned.
absl::Status CheckOutputChannels(const CheckpointConfig& config) {
  const bool learns = config.scheduler.learns_variance();
  const int64_t expected = config.unet.in_channels * (learns ? 2 : 1);
  if (config.unet.out_channels == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "out_channels is ", config.unet.out_channels, "; with in_channels ", config.unet.in_channels,
      " and variance_type ", config.scheduler.variance_type, " it must be ", expected));
}

}  // namespace

absl::StatusOr<ServedModel> MakeServedModel(const std::string& name, const CheckpointConfig& config,
                                            const std::string& digest, uint64_t num_parameters,
                                            ServedNumerics numerics) {
  absl::StatusOr<ModelSchedule> schedule = MakeModelSchedule(config.scheduler);
  if (!schedule.ok()) return ForModel(name, schedule.status());
  if (absl::Status status = CheckOutputChannels(config); !status.ok()) {
    return ForModel(name, status);
  }
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
  model.defaults = Defaults(config);
  model.numerics = std::move(numerics);
  model.plans = std::make_shared<PlanCache>(
      [schedule = *std::move(schedule)](const SamplingOptions& options) {
        return CompilePlan(schedule, options);
      });
  const auto plan = model.plans->Get(model.defaults.sampling);
  if (!plan.ok()) return ForModel(name, plan.status());
  return model;
}

}  // namespace diffusiond
