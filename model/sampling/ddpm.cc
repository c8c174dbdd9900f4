// DDPM ancestral sampling: Ho et al. 2020, algorithm 2, through the posterior of equations 6 and 7,
// which holds for any subsequence of timesteps (Nichol and Dhariwal 2021, section 4).
#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/sampling/network_row.h"
#include "model/sampling/sampler.h"
#include "model/sampling/timesteps.h"

namespace diffusiond {
namespace {

// The peer's floor under beta-tilde, which is 0 in a step that ends at x_0.
constexpr double kMinVariance = 1e-20;

absl::StatusOr<SamplingPlan> CompileDdpm(const ModelSchedule& model,
                                         const SamplingOptions& options) {
  const bool large = options.variance == "fixed_large";
  const bool zero = options.variance == "zero";
  if (!large && !zero && options.variance != "fixed_small") {
    return absl::InvalidArgumentError(absl::StrCat(
        "variance is \"", options.variance, "\"; it must be fixed_small, fixed_large or zero"));
  }
  absl::StatusOr<std::vector<int64_t>> timesteps =
      SpacedTimesteps(model.schedule.num_train_timesteps(), options.steps, options.timestep_spacing,
                      model.steps_offset);
  if (!timesteps.ok()) return timesteps.status();

  SamplingPlan plan;
  plan.steps = static_cast<int>(options.steps);
  for (size_t i = 0; i < timesteps->size(); ++i) {
    const int64_t t = (*timesteps)[i];
    const bool last = i + 1 == timesteps->size();
    const double alpha_bar = model.schedule.alpha_bar(t);
    const double alpha_bar_next = last ? 1 : model.schedule.alpha_bar((*timesteps)[i + 1]);
    const double alpha = alpha_bar / alpha_bar_next;
    const double beta = 1 - alpha;
    const double beta_tilde = std::max((1 - alpha_bar_next) / (1 - alpha_bar) * beta, kMinVariance);

    PlanRow row = VariancePreservingRow(model, options, alpha_bar, static_cast<double>(t));
    const double c_x = std::sqrt(alpha) * (1 - alpha_bar_next) / (1 - alpha_bar);
    const double c_d = std::sqrt(alpha_bar_next) * beta / (1 - alpha_bar);
    const double sigma = zero || t == 0 ? 0 : std::sqrt(large ? beta : beta_tilde);
    row.update = {c_x, c_d, 0, sigma};
    row.draws_noise = sigma > 0;
    row.next_timestep = last ? 0 : static_cast<double>((*timesteps)[i + 1]);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

}  // namespace

const Sampler& DdpmSampler() {
  static const auto& sampler =
      *new Sampler{.name = "ddpm",
                   .description = "ancestral sampling (Ho et al. 2020, algorithm 2)",
                   .options = {"variance", "timestep_spacing", "clip_sample", "thresholding",
                               "dynamic_thresholding_ratio", "sample_max_value"},
                   .solver_types = {},
                   .compile = CompileDdpm};
  return sampler;
}

}  // namespace diffusiond
