#include "model/evaluation/drawn_images.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/checkpoint/default_sampling.h"
#include "model/sampling/draw_images.h"
#include "model/status/status_macros.h"

namespace diffusiond {

std::string Setting::ToString() const {
  return absl::StrFormat(
      "%s, %d steps%s, guidance %g", sampling.sampler, sampling.steps,
      sampling.sampler == "ddim" ? absl::StrFormat(", eta %g", sampling.eta) : "", guidance_scale);
}

absl::StatusOr<Setting> DefaultSetting(const CheckpointConfig& config, int samples) {
  ASSIGN_OR_RETURN(DefaultSampling defaults, ResolveDefaultSampling(config));
  Setting setting;
  setting.sampling = std::move(defaults.options);
  setting.samples = samples;
  if (config.null_class_id) setting.guidance_scale = defaults.guidance_scale;
  return setting;
}

absl::StatusOr<DrawnImages> Draw(const CheckpointConfig& config, const ModelSchedule& schedule,
                                 const Setting& setting, uint64_t seed, PlanRunner* runner) {
  if (setting.samples < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("samples is ", setting.samples, "; it must be at least 1"));
  }
  if (setting.guidance_scale != 1 && !config.null_class_id) {
    return absl::InvalidArgumentError(
        absl::StrCat("guidance_scale is ", setting.guidance_scale,
                     "; it needs a model with a null class; without, it must be 1"));
  }
  ASSIGN_OR_RETURN(SamplingPlan plan, CompilePlan(schedule, setting.sampling));
  DrawnImages drawn;
  const auto classes = std::max<int64_t>(1, static_cast<int64_t>(config.class_names.size()));
  for (int64_t i = 0; i < setting.samples; ++i) drawn.labels.push_back(i % classes);
  const DrawSpec spec = {.seed = seed,
                         .null_label = config.null_class_id.value_or(0),
                         .guidance = {.scale = setting.guidance_scale}};
  ASSIGN_OR_RETURN(drawn.frames, DrawImages(plan, spec, drawn.labels, runner));
  return drawn;
}

}  // namespace diffusiond
