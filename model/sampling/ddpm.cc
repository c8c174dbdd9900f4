// DDPM ancestral sampling: Ho et al. 2020, algorithm 2, through the posterior of equations 6 and 7,
// which holds for any subsequence of timesteps (Nichol and Dhariwal 2021, section 4). A network may
// predict the variance: "learned" as it stands, or "learned_range", in -1 .. 1 between log
// beta-tilde and log beta (their equation 15).
#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/sampling/network_row.h"
#include "model/sampling/sampler.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// diffusers' floor under beta-tilde, which is 0 in a step that ends at x_0.
constexpr double kMinVariance = 1e-20;

// A variance that is learned must be the one that the model learned.
absl::Status CheckVariance(const ModelSchedule& model, Variance variance) {
  const bool is_learned = variance == Variance::kLearned || variance == Variance::kLearnedRange;
  if (!is_learned || variance == model.learned_variance) return absl::OkStatus();
  std::string message =
      absl::StrCat("variance is \"", WordOf(variance),
                   "\"; it must be fixed_small, fixed_small_log, fixed_large or zero");
  if (model.learned_variance.has_value()) {
    absl::StrAppend(&message, ", or ", WordOf(*model.learned_variance),
                    " as this model learned it");
  } else {
    absl::StrAppend(&message, ", as this model did not learn one");
  }
  return absl::InvalidArgumentError(message);
}

// Column z of the update.
double SetNoise(Variance variance, double beta, double beta_tilde, PlanRow* row) {
  // The logarithm is a detail of diffusers' arithmetic.
  if (variance == Variance::kFixedSmall || variance == Variance::kFixedSmallLog) {
    return std::sqrt(beta_tilde);
  }
  if (variance == Variance::kFixedLarge) return std::sqrt(beta);
  if (variance == Variance::kZero) return 0;
  row->noise_scale =
      variance == Variance::kLearned ? NoiseScale::kVariance : NoiseScale::kLogVariance;
  row->log_variance = (std::log(beta) + std::log(beta_tilde)) / 2;
  row->log_variance_g = (std::log(beta) - std::log(beta_tilde)) / 2;
  return 1;
}

absl::StatusOr<SamplingPlan> CompileDdpm(const ModelSchedule& model,
                                         const SamplingOptions& options) {
  RETURN_IF_ERROR(CheckVariance(model, options.variance));
  ASSIGN_OR_RETURN(std::vector<int64_t> timesteps, VisitedTimesteps(model, options));

  SamplingPlan plan;
  plan.steps = static_cast<int>(timesteps.size());
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const int64_t t = timesteps[i];
    const bool last = i + 1 == timesteps.size();
    const double alpha_bar = model.schedule.alpha_bar(t);
    const double alpha_bar_next = last ? 1 : model.schedule.alpha_bar(timesteps[i + 1]);
    const double alpha = alpha_bar / alpha_bar_next;
    const double beta = 1 - alpha;
    const double beta_tilde = std::max((1 - alpha_bar_next) / (1 - alpha_bar) * beta, kMinVariance);

    PlanRow row = VariancePreservingRow(model, options, alpha_bar, static_cast<double>(t));
    const double c_x = std::sqrt(alpha) * (1 - alpha_bar_next) / (1 - alpha_bar);
    const double c_d = std::sqrt(alpha_bar_next) * beta / (1 - alpha_bar);
    // Algorithm 2 adds no noise in the last step; diffusers adds none at t = 0.
    const bool adds_noise = AsDiffusers(options) ? t > 0 : !last;
    const double sigma = adds_noise ? SetNoise(options.variance, beta, beta_tilde, &row) : 0;
    row.update = {c_x, c_d, 0, sigma};
    row.draws_noise = sigma > 0;
    row.next_timestep = last ? 0 : static_cast<double>(timesteps[i + 1]);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

}  // namespace

const Sampler& DdpmSampler() {
  static const auto& sampler =
      *new Sampler{.name = "ddpm",
                   .description = "ancestral sampling (Ho et al. 2020, algorithm 2)",
                   .options = {"variance", "timestep_spacing", "arithmetic", "clip_sample",
                               "thresholding", "dynamic_thresholding_ratio", "sample_max_value"},
                   .solver_types = {},
                   .compile = CompileDdpm};
  return sampler;
}

}  // namespace diffusiond
