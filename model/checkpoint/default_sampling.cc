#include "model/checkpoint/default_sampling.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Of the options that take the place of those that do not run.
constexpr int64_t kFallbackSteps = 50;

// The files' own wish.
SamplingOptions Wanted(const CheckpointConfig& config, DefaultSampling* result) {
  SamplingOptions options = DefaultSamplingOptions(config.scheduler, &result->warnings);
  const std::string departure = ClassDeparture(config.scheduler.class_name);
  if (!config.generation.has_value()) {
    if (!departure.empty()) result->warnings.push_back(departure);
    return options;
  }
  const GenerationDefaults& wanted = *config.generation;
  result->guidance_scale = wanted.guidance_scale;
  options = ForSampler(wanted.sampler(), std::move(options));
  wanted.ApplyTo(&options);
  return options;
}

// What clips x0-hat, and the variance that the network gives, are the model's, whatever draws it.
SamplingOptions Plain(const std::string& sampler, const SamplingOptions& wanted, bool is_edm) {
  SamplingOptions options;
  options.sampler = sampler;
  options.steps = std::min(wanted.steps, kFallbackSteps);
  options.timestep_spacing = TimestepSpacing::kTrailing;
  options.variance = wanted.variance;
  options.clip_sample = wanted.clip_sample;
  options.thresholding = wanted.thresholding;
  options.dynamic_thresholding_ratio = wanted.dynamic_thresholding_ratio;
  options.sample_max_value = wanted.sample_max_value;
  if (is_edm) options.sigma_schedule = SigmaSchedule::kKarras;
  return ForSampler(sampler, std::move(options));
}

// Nearest first: what gives way is one thing, then two, and in the end all but the sampler, and it.
std::vector<SamplingOptions> Fallbacks(const SamplingOptions& wanted, bool is_edm) {
  using Change = void (*)(SamplingOptions&);
  constexpr Change kChanges[] = {
      [](SamplingOptions& o) { o.steps = std::min(o.steps, kFallbackSteps); },
      [](SamplingOptions& o) { o.timestep_spacing = TimestepSpacing::kTrailing; },
      [](SamplingOptions& o) { o.final_sigmas_type = FinalSigmas::kZero; },
      [](SamplingOptions& o) { o.sigma_schedule = SigmaSchedule::kTimesteps; },
  };
  std::vector<SamplingOptions> options;
  for (const Change change : kChanges) change(options.emplace_back(wanted));
  for (const Change first : kChanges) {
    for (const Change second : kChanges) {
      SamplingOptions& both = options.emplace_back(wanted);
      first(both);
      second(both);
    }
  }
  options.push_back(Plain(wanted.sampler, wanted, is_edm));
  options.push_back(Plain(is_edm ? "euler" : "ddim", wanted, is_edm));
  options.push_back(Plain(is_edm ? "euler" : "ddpm", wanted, is_edm));
  options.back().timestep_spacing = TimestepSpacing::kLeading;
  return options;
}

std::string Described(const SamplingOptions& options) {
  return absl::StrCat(options.sampler, ", ", options.steps, " steps, ",
                      WordOf(options.timestep_spacing), " spacing");
}

// A word without quotes: it is one of a set.
std::string Plain(const OptionValue& value) {
  const auto* const word = std::get_if<std::string>(&value);
  return word != nullptr ? *word : ToText(value);
}

// What of `taken` is not what was wanted, beside what Described says.
std::string OtherChanges(const SamplingOptions& wanted, const SamplingOptions& taken) {
  std::string changes;
  const Sampler* const sampler = FindSampler(taken.sampler);
  for (const Option<SamplingOptions>& option : kSamplingOptions) {
    const bool is_described =
        option.name == "sampler" || option.name == "steps" || option.name == "timestep_spacing";
    if (is_described || sampler == nullptr || !Reads(*sampler, option.name)) continue;
    const OptionValue from = option.get(wanted), to = option.get(taken);
    if (from == to) continue;
    absl::StrAppend(&changes, ", ", option.name, " ", Plain(to), " (not ", Plain(from), ")");
  }
  return changes;
}

bool IsKnown(const std::string& sampler, const SchedulerConfig& scheduler) {
  return absl::c_any_of(Samplers(), [&](const Sampler& known) {
    return known.name == sampler && CanRun(known, scheduler);
  });
}

// OK if there are steps and a spacing at which the sampler runs; else why not at the first.
absl::Status RunsSomehow(const ModelSchedule& model, SamplingOptions options) {
  absl::Status status = CompilePlan(model, options).status();
  if (status.ok()) return status;
  const int64_t all = model.num_train_timesteps;
  for (const int64_t steps : {all, std::max<int64_t>(1, all / 2)}) {
    for (const TimestepSpacing spacing : {TimestepSpacing::kTrailing, TimestepSpacing::kLeading}) {
      options.steps = steps;
      options.timestep_spacing = spacing;
      if (CompilePlan(model, options).ok()) return absl::OkStatus();
    }
  }
  return status;
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
  RETURN_IF_ERROR(CheckOutputChannels(config));
  ASSIGN_OR_RETURN(const ModelSchedule model, MakeModelSchedule(config.scheduler));
  DefaultSampling result;
  result.options = Wanted(config, &result);
  absl::Status status = CompilePlan(model, result.options).status();
  // A name that no sampler has is a mistake of whoever wrote it, not a limit of this model.
  if (!status.ok() && config.generation &&
      !IsKnown(config.generation->sampler(), config.scheduler)) {
    return status;
  }
  if (!status.ok()) {
    const auto fallbacks = Fallbacks(result.options, config.scheduler.is_edm());
    const auto found = absl::c_find_if(fallbacks, [&](const SamplingOptions& options) {
      return CompilePlan(model, options).ok();
    });
    if (found == fallbacks.end()) return status;
    result.warnings.push_back(absl::StrCat(
        "the default (", Described(result.options), ") cannot be drawn with: ", status.message(),
        "; ", Described(*found), OtherChanges(result.options, *found), " is taken"));
    result.options = *found;
  }
  for (const Sampler& sampler : Samplers()) {
    if (!CanRun(sampler, config.scheduler)) continue;
    status = RunsSomehow(model, ForSampler(sampler.name, result.options));
    if (!status.ok()) result.unavailable.push_back({sampler.name, std::string(status.message())});
  }
  return result;
}

}  // namespace diffusiond
