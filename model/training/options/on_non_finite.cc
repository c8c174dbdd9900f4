#include "model/training/options/on_non_finite.h"

#include "absl/strings/str_cat.h"

namespace diffusiond {

absl::StatusOr<OnNonFinite> ParseOnNonFinite(absl::string_view text) {
  if (text == "stop") return OnNonFinite::kStop;
  if (text == "skip") return OnNonFinite::kSkip;
  return absl::InvalidArgumentError(
      absl::StrCat("--on_nan is \"", text, "\"; it must be stop or skip"));
}

}  // namespace diffusiond
