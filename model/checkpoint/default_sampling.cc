#include "model/checkpoint/default_sampling.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

// Of the options that take the place of those that do not run.
constexpr int64_t kFallbackSteps = 50;

// The files' own wish.
SamplingOptions Wanted(const CheckpointConfig& config, DefaultSampling* result) {
  std::vector<std::string> warnings;
  SamplingOptions options = DefaultSamplingOptions(config.scheduler, &warnings);
  // Of a class that is not drawn with by default there is nothing to warn of.
  if (!config.generation || config.generation->sampler == options.sampler) {
    result->warnings = std::move(warnings);
  }
  if (!config.generation.has_value()) return options;
  const GenerationDefaults& wanted = *config.generation;
  result->guidance_scale = wanted.guidance_scale;
  options = ForSampler(wanted.sampler, std::move(options));
  options.steps = wanted.steps;
  options.eta = wanted.eta;
  if (!wanted.variance.empty()) options.variance = wanted.variance;
  if (!wanted.timestep_spacing.empty()) options.timestep_spacing = wanted.timestep_spacing;
  return options;
}

// Nearest first.
std::vector<SamplingOptions> Fallbacks(const SamplingOptions& wanted, bool is_edm) {
  const int64_t fewer = std::min(wanted.steps, kFallbackSteps);
  std::vector<SamplingOptions> options(6, wanted);
  options[0].steps = fewer;
  options[1].timestep_spacing = "trailing";
  options[2].timestep_spacing = "trailing";
  options[2].steps = fewer;
  SamplingOptions plain;  // Nothing but the sampler's own defaults.
  plain.sampler = wanted.sampler;
  plain.steps = fewer;
  plain.timestep_spacing = "trailing";
  plain.clip_sample = wanted.clip_sample;
  if (is_edm) plain.sigma_schedule = "karras";
  options[3] = ForSampler(plain.sampler, plain);
  options[4] = ForSampler(is_edm ? "euler" : "ddim", plain);
  options[5] = ForSampler(is_edm ? "euler" : "ddpm", plain);
  options[5].timestep_spacing = "leading";
  return options;
}

std::string Described(const SamplingOptions& options) {
  return absl::StrCat(options.sampler, ", ", options.steps, " steps, ", options.timestep_spacing,
                      " spacing");
}

bool IsKnown(const std::string& sampler, const SchedulerConfig& scheduler) {
  return absl::c_any_of(Samplers(), [&](const Sampler& known) {
    return known.name == sampler && CanRun(known, scheduler);
  });
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

absl::StatusOr<DefaultSampling> ResolveDefaultSampling(const CheckpointConfig& config) {
  if (absl::Status status = CheckOutputChannels(config); !status.ok()) return status;
  const absl::StatusOr<ModelSchedule> model = MakeModelSchedule(config.scheduler);
  if (!model.ok()) return model.status();
  DefaultSampling result;
  result.options = Wanted(config, &result);
  absl::Status status = CompilePlan(*model, result.options).status();
  // A name that no sampler has is a mistake of whoever wrote it, not a limit of this model.
  if (!status.ok() && config.generation && !IsKnown(config.generation->sampler, config.scheduler)) {
    return status;
  }
  if (!status.ok()) {
    const auto fallbacks = Fallbacks(result.options, config.scheduler.is_edm());
    const auto found = absl::c_find_if(fallbacks, [&](const SamplingOptions& options) {
      return CompilePlan(*model, options).ok();
    });
    if (found == fallbacks.end()) return status;
    result.warnings.push_back(absl::StrCat("the default (", Described(result.options),
                                           ") cannot be drawn with: ", status.message(), "; ",
                                           Described(*found), " is taken"));
    result.options = *found;
  }
  for (const Sampler& sampler : Samplers()) {
    if (!CanRun(sampler, config.scheduler)) continue;
    status = CompilePlan(*model, ForSampler(sampler.name, result.options)).status();
    if (!status.ok()) result.unavailable.push_back({sampler.name, std::string(status.message())});
  }
  return result;
}

}  // namespace diffusiond
