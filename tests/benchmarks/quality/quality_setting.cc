#include "tests/benchmarks/quality/quality_setting.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace diffusiond {
namespace {

bool SetOption(const std::string& name, const std::string& value, SamplingOptions* options) {
  if (name == "eta") return absl::SimpleAtod(value, &options->eta);
  if (name == "skip_prk_steps") return absl::SimpleAtob(value, &options->skip_prk_steps);
  if (name == "order") return absl::SimpleAtoi(value, &options->solver_order);
  std::string* const text = name == "spacing"     ? &options->timestep_spacing
                            : name == "algorithm" ? &options->algorithm_type
                            : name == "solver"    ? &options->solver_type
                            : name == "sigmas"    ? &options->sigma_schedule
                                                  : nullptr;
  if (text == nullptr) return false;
  *text = value;
  return true;
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
      return absl::InvalidArgumentError(
          absl::StrCat("--samplers has \"", text, "\": \"", parts[i],
                       "\" is none of eta, spacing, algorithm, order, solver and sigmas=VALUE"));
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
