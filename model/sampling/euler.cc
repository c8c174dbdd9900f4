// Euler's method on the probability-flow ODE dx/dsigma = (x - D) / sigma: Karras et al. 2022,
// equation 4 with sigma(t) = t, s(t) = 1, and the noise of algorithm 2 ("churn") where s_churn is
// not 0.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// 1 + gamma of algorithm 2, for each step.
std::vector<double> Churns(const SigmaLadder& ladder, const SamplingOptions& options) {
  // Of all steps, also of those that a start from an image skips.
  const double most = std::min(options.s_churn / options.steps, std::sqrt(2.0) - 1);
  std::vector<double> churns;
  for (int i = 0; i < ladder.steps(); ++i) {
    const double sigma = ladder.sigmas[static_cast<size_t>(i)];
    churns.push_back(1 + (sigma >= options.s_tmin && sigma <= options.s_tmax ? most : 0));
  }
  return churns;
}

// What takes x from sigma to sigma_hat.
double ChurnNoise(const SamplingOptions& options, double sigma, double sigma_hat) {
  return options.s_noise * std::sqrt(sigma_hat * sigma_hat - sigma * sigma);
}

// Algorithm 2: the network is asked at sigma_hat of the noised x. The noise that belongs before a
// step comes with the row before it, and before the first step x has it from the start.
SamplingPlan ExactPlan(const ModelSchedule& model, const SamplingOptions& options,
                       const SigmaLadder& ladder) {
  const SigmaLadder hat = Raised(model, ladder, Churns(ladder, options));
  const auto noise_at = [&](size_t i) {
    return ChurnNoise(options, ladder.sigmas[i], hat.sigmas[i]);
  };
  SamplingPlan plan = LadderPlan(model, options, ladder, 1);
  plan.init_scale = std::hypot(plan.init_scale, noise_at(0));
  const PlanColumns columns(plan.registers);
  for (int i = 0; i < ladder.steps(); ++i) {
    const size_t at = static_cast<size_t>(i);
    PlanRow row = LadderRow(model, options, hat, i);
    const double kept = ladder.sigmas[at + 1] / hat.sigmas[at];
    const LinearExpression next[] = {kept * columns.x() + (1 - kept) * columns.d() +
                                     noise_at(at + 1) * columns.z()};
    columns.SetUpdate(next, &row);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

// As diffusers has it, the noise comes after the network was asked: D is read from the noised x,
// but F is that of the x before.
SamplingPlan DiffusersPlan(const ModelSchedule& model, const SamplingOptions& options,
                           const SigmaLadder& ladder) {
  const std::vector<double> churns = Churns(ladder, options);
  SamplingPlan plan = LadderPlan(model, options, ladder, 1);
  const PlanColumns columns(plan.registers);
  for (int i = 0; i < ladder.steps(); ++i) {
    const size_t at = static_cast<size_t>(i);
    const double sigma_hat = ladder.sigmas[at] * churns[at];
    const double noise = ChurnNoise(options, ladder.sigmas[at], sigma_hat);

    PlanRow row = LadderRow(model, options, ladder, i);
    // What the network says of x is taken for the noised x: all of it with a model of EDM, only
    // epsilon with a model of betas.
    if (model.edm.has_value()) {
      const PlanRow noised = VarianceExplodingRow(model, options, sigma_hat, row.timestep);
      row.d_x = noised.d_x;
      row.d_f = noised.d_f;
    } else if (model.prediction_type == PredictionType::kEpsilon ||
               model.prediction_type == PredictionType::kScore) {
      row.d_f *= churns[at];
    }
    row.d_z = row.d_x * noise;
    const LinearExpression x_hat = columns.x() + noise * columns.z();
    const double kept = ladder.sigmas[at + 1] / sigma_hat;
    const LinearExpression next[] = {kept * x_hat + (1 - kept) * columns.d()};
    columns.SetUpdate(next, &row);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

absl::StatusOr<SamplingPlan> CompileEuler(const ModelSchedule& model,
                                          const SamplingOptions& options) {
  ASSIGN_OR_RETURN(const SigmaLadder ladder, FractionalLadder(model, options));
  return AsDiffusers(options) ? DiffusersPlan(model, options, ladder)
                              : ExactPlan(model, options, ladder);
}

}  // namespace

const Sampler& EulerSampler() {
  static const auto& sampler = *new Sampler{
      .name = "euler",
      .description =
          "Euler's method on the probability-flow ODE (Karras et al. 2022, equation 4), "
          "with churn noise (algorithm 2)",
      .options = {"timestep_spacing", "arithmetic", "sigma_schedule", "final_sigmas_type",
                  "s_churn", "s_tmin", "s_tmax", "s_noise", "clip_sample", "thresholding",
                  "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {},
      .runs_edm = true,
      .compile = CompileEuler};
  return sampler;
}

}  // namespace diffusiond
