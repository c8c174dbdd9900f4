#include "model/training/loop/non_finite_guard.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace diffusiond {
namespace {

// Enough to find the culprit; a batch may have tens of thousands.
constexpr size_t kImagesNamed = 256;

std::string Listed(std::span<const int64_t> images) {
  const size_t shown = std::min(images.size(), kImagesNamed);
  std::string text = absl::StrJoin(images.begin(), images.begin() + static_cast<long>(shown), ", ");
  if (shown < images.size()) absl::StrAppend(&text, " and ", images.size() - shown, " more");
  return text;
}

}  // namespace

std::string Describe(const NonFiniteStep& step) {
  std::vector<int64_t> culprits;
  for (size_t i = 0; i < step.images.size() && i < step.losses.size(); ++i) {
    if (!std::isfinite(step.losses[i])) culprits.push_back(step.images[i]);
  }
  return absl::StrCat("step ", step.step, ": the loss is ", step.loss, " and the gradient's norm ",
                      step.gradient_norm,
                      culprits.empty() ? "; the batch's training images: "
                                       : "; the loss is not finite for the training images ",
                      Listed(culprits.empty() ? step.images : std::span<const int64_t>(culprits)));
}

absl::Status JudgeNonFinite(const NonFiniteStep& step, OnNonFinite policy, int64_t skipped,
                            int64_t limit) {
  if (policy == OnNonFinite::kStop) {
    return absl::InternalError(
        absl::StrCat(Describe(step),
                     "; --resume goes on from the last save, with --on_nan=skip past such steps; "
                     "a new run may have a lower --learning_rate or --clip_grad_norm"));
  }
  if (skipped > limit) {
    return absl::InternalError(absl::StrCat(Describe(step), "; ", limit,
                                            " steps were skipped before, which is the limit "
                                            "(--max_skipped_steps)"));
  }
  return absl::OkStatus();
}

}  // namespace diffusiond
