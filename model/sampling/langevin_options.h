// The options of samplers that take Langevin steps at each noise level.
#ifndef DIFFUSIOND_MODEL_SAMPLING_LANGEVIN_OPTIONS_H_
#define DIFFUSIOND_MODEL_SAMPLING_LANGEVIN_OPTIONS_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/sampling/sampler.h"

namespace diffusiond {

// Network evaluations of one plan: what bounds its memory, as one request may ask for any product.
inline constexpr int64_t kMaxLangevinEvaluations = 10000;
// INVALID_ARGUMENT names the option. `others`: evaluations of a step beside the Langevin steps.
inline absl::Status CheckLangevin(const SamplingOptions& options, int64_t others) {
  if (options.steps > kMaxLangevinEvaluations / (options.langevin_steps + others)) {
    return absl::InvalidArgumentError(
        absl::StrCat("steps ", options.steps, " with langevin_steps ", options.langevin_steps,
                     " is more than ", kMaxLangevinEvaluations, " network evaluations"));
  }
  return absl::OkStatus();
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_LANGEVIN_OPTIONS_H_
