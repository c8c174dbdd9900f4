#include "model/sampling/sampler.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace diffusiond {

absl::StatusOr<ModelSchedule> MakeModelSchedule(const SchedulerConfig& config) {
  absl::StatusOr<NoiseSchedule> schedule = NoiseSchedule::Create(config);
  if (!schedule.ok()) return schedule.status();
  absl::StatusOr<PredictionType> prediction = ParsePredictionType(config.prediction_type);
  if (!prediction.ok()) return prediction.status();
  if (config.thresholding) {
    return absl::UnimplementedError("thresholding is true; only false is supported");
  }
  if (config.variance_type == "learned" || config.variance_type == "learned_range") {
    return absl::UnimplementedError(absl::StrCat("variance_type is \"", config.variance_type,
                                                 "\"; learned variances are not supported"));
  }
  return ModelSchedule{.schedule = *std::move(schedule),
                       .prediction_type = *prediction,
                       .clip_sample_range = config.clip_sample_range,
                       .steps_offset = config.steps_offset,
                       .set_alpha_to_one = config.set_alpha_to_one};
}

SamplingOptions DefaultSamplingOptions(const SchedulerConfig& config) {
  SamplingOptions options;
  options.sampler = config.class_name == "DDIMScheduler" ? "ddim" : "ddpm";
  options.steps = config.num_train_timesteps;
  if (config.variance_type.rfind("fixed_large", 0) == 0) options.variance = "fixed_large";
  options.timestep_spacing = config.timestep_spacing;
  options.clip_sample = config.clip_sample;
  return options;
}

std::span<const Sampler> Samplers() {
  static const auto& samplers = *new std::vector<Sampler>{DdimSampler(), DdpmSampler()};
  return samplers;
}

absl::StatusOr<SamplingPlan> CompilePlan(const ModelSchedule& model,
                                         const SamplingOptions& options) {
  std::vector<std::string> names;
  for (const Sampler& sampler : Samplers()) {
    if (sampler.name == options.sampler) return sampler.compile(model, options);
    names.push_back(sampler.name);
  }
  return absl::InvalidArgumentError(absl::StrCat("sampler is \"", options.sampler,
                                                 "\"; it must be ", absl::StrJoin(names, " or ")));
}

}  // namespace diffusiond
