#include "model/sampling/sampling_advice.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

int64_t FewestGood(const Sampler& sampler, const SamplingOptions& options) {
  const bool leading =
      Reads(sampler, "timestep_spacing") && options.timestep_spacing == TimestepSpacing::kLeading;
  return std::max(sampler.least_steps, leading ? kFewestGoodLeadingSteps : kFewestGoodSteps);
}

}  // namespace

std::vector<std::string> SamplingAdvice(const Sampler& sampler, const SamplingOptions& options,
                                        const Guidance& guidance, const SamplingOptions& defaults,
                                        double default_guidance_scale) {
  std::vector<std::string> advice;
  const bool as_the_model = options.sampler == defaults.sampler && options.steps >= defaults.steps;
  const int64_t fewest = FewestGood(sampler, options);
  if (options.steps < fewest && !as_the_model) {
    advice.push_back(absl::StrCat("sampling.steps is ", options.steps, "; ", sampler.name,
                                  " leaves noise with fewer than about ", fewest));
  }
  if (guidance.scale > std::max(kMostGoodGuidance, default_guidance_scale)) {
    advice.push_back(absl::StrCat("sampling.guidance_scale is ", guidance.scale, "; above about ",
                                  kMostGoodGuidance,
                                  " images saturate, unless thresholding or guidance_rescale "
                                  "holds them"));
  }
  const bool less_than_the_model = options.sampler == defaults.sampler &&
                                   options.steps <= defaults.steps &&
                                   guidance.scale <= default_guidance_scale;
  if (sampler.advise != nullptr && !less_than_the_model) {
    std::string own = sampler.advise(options, guidance.scale);
    if (!own.empty()) advice.push_back(std::move(own));
  }
  return advice;
}

}  // namespace diffusiond
