// What is to happen when a loss or a gradient is not a number.
#ifndef DIFFUSIOND_MODEL_TRAINING_OPTIONS_ON_NON_FINITE_H_
#define DIFFUSIOND_MODEL_TRAINING_OPTIONS_ON_NON_FINITE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

enum class OnNonFinite {
  kStop,  // The run ends; what was saved before is untouched.
  kSkip,  // The step changes nothing, and the next batch follows.
};

// "stop" or "skip".
absl::StatusOr<OnNonFinite> ParseOnNonFinite(absl::string_view text);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OPTIONS_ON_NON_FINITE_H_
