#include "model/sampling/sampling_advice.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

int64_t FewestGood(const Sampler& sampler, const SamplingOptions& options) {
  const bool leading =
      Reads(sampler, "timestep_spacing") && options.timestep_spacing == TimestepSpacing::kLeading;
  return std::max(sampler.least_steps, leading ? kFewestGoodLeadingSteps : kFewestGoodSteps);
}

// Epsilon stays the network's own where D, which goes with it, is clipped.
bool DriftsWithGuidance(const Sampler& sampler, const SamplingOptions& options,
                        const Guidance& guidance) {
  return Reads(sampler, "use_clipped_model_output") && !options.use_clipped_model_output &&
         (options.clip_sample || options.thresholding) && options.eta < 1 &&
         static_cast<double>(options.steps) * (guidance.scale - 1) > kMostClippedGuidance;
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
  if (DriftsWithGuidance(sampler, options, guidance) && !less_than_the_model) {
    advice.push_back(absl::StrCat("sampling.use_clipped_model_output is false; with ",
                                  options.steps, " steps of guidance_scale ", guidance.scale, " ",
                                  sampler.name,
                                  " drifts from the data where it clips: true holds it"));
  }
  return advice;
}

}  // namespace diffusiond
