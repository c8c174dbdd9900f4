#include "tests/benchmarks/quality/quality_setting.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace diffusiond {
namespace {

bool SetOption(const std::string& name, const std::string& text, SamplingOptions* options) {
  for (const Option<SamplingOptions>& option : kSamplingOptions) {
    if (option.name != name) continue;
    const std::optional<OptionValue> value = FromText(option, text);
    if (!value.has_value() || !FaultOf(option, *value).empty()) return false;
    option.set(*value, options);
    return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<SamplingOptions> ParseQualitySetting(const std::string& text,
                                                    SamplingOptions options) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  options = ForSampler(parts[0], options);
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::pair<std::string, std::string> option =
        absl::StrSplit(parts[i], absl::MaxSplits('=', 1));
    if (!SetOption(option.first, option.second, &options)) {
      return absl::InvalidArgumentError(absl::StrCat("--samplers has \"", text, "\": \"", parts[i],
                                                     "\" is no option=VALUE of a sampler"));
    }
  }
  return options;
}

absl::StatusOr<SamplingPlan> LargestPlan(const ModelSchedule& model, SamplingOptions options,
                                         int evaluations) {
  absl::Status refused = absl::OkStatus();
  for (options.steps = std::min<int64_t>(evaluations, model.num_train_timesteps);
       options.steps >= 1; --options.steps) {
    absl::StatusOr<SamplingPlan> plan = CompilePlan(model, options);
    if (!plan.ok()) {
      if (refused.ok()) refused = plan.status();
    } else if (static_cast<int>(plan->rows.size()) <= evaluations) {
      return plan;
    }
  }
  if (!refused.ok()) return refused;
  return absl::InvalidArgumentError(absl::StrCat(
      "one step of ", options.sampler, " takes more than ", evaluations, " network evaluations"));
}

}  // namespace diffusiond
