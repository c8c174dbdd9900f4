// What a sweep over samplers draws with.
#ifndef DIFFUSIOND_TESTS_BENCHMARKS_QUALITY_QUALITY_SETTING_H_
#define DIFFUSIOND_TESTS_BENCHMARKS_QUALITY_QUALITY_SETTING_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/sampling/sampler.h"

namespace diffusiond {

// `text` is a sampler, and options where they are not the model's:
// "ddim:eta=1:timestep_spacing=trailing". Options are those of kSamplingOptions; they change
// `options`. INVALID_ARGUMENT names what is not known.
absl::StatusOr<SamplingOptions> ParseQualitySetting(const std::string& text,
                                                    SamplingOptions options);

// The plan with the most steps that takes at most `evaluations`, at least 1, of the network.
// INVALID_ARGUMENT: there is none.
absl::StatusOr<SamplingPlan> LargestPlan(const ModelSchedule& model, SamplingOptions options,
                                         int evaluations);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_BENCHMARKS_QUALITY_QUALITY_SETTING_H_
