// What is allowed, but far from what draws good images.
#ifndef DIFFUSIOND_MODEL_SAMPLING_SAMPLING_ADVICE_H_
#define DIFFUSIOND_MODEL_SAMPLING_SAMPLING_ADVICE_H_

#include <string>
#include <vector>

#include "model/sampling/guidance.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sampling_options.h"

namespace diffusiond {

// With fewer steps than this no sampler draws well, whatever the model (tests/benchmarks/quality).
inline constexpr int64_t kFewestGoodSteps = 5;
// Leading timesteps begin below the noise that images start as, and need more.
inline constexpr int64_t kFewestGoodLeadingSteps = 10;
// Above it images saturate (Saharia et al. 2022, section 2.3).
inline constexpr double kMostGoodGuidance = 10;
// A sentence for each option that is so, named as in the API, with its value and what draws. The
// model's own defaults are never advised against.
std::vector<std::string> SamplingAdvice(const Sampler& sampler, const SamplingOptions& options,
                                        const Guidance& guidance, const SamplingOptions& defaults,
                                        double default_guidance_scale);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_SAMPLING_ADVICE_H_
