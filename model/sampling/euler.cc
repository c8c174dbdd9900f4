// Euler's method on the probability-flow ODE dx/dsigma = (x - D) / sigma: Karras et al. 2022,
// equation 4 with sigma(t) = t, s(t) = 1, and the noise of algorithm 2 ("churn") where s_churn is
// not 0. As diffusers has it, the noise comes after the network was asked: D is read from the
// noised x, but F is that of the x before.
#include <algorithm>
#include <cmath>

#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

absl::StatusOr<SamplingPlan> CompileEuler(const ModelSchedule& model,
                                          const SamplingOptions& options) {
  ASSIGN_OR_RETURN(SigmaLadder ladder, FractionalLadder(model, options));

  SamplingPlan plan = LadderPlan(model, options, ladder, 1);
  const PlanColumns columns(plan.registers);
  for (int i = 0; i < ladder.steps(); ++i) {
    const double sigma = ladder.sigmas[static_cast<size_t>(i)];
    const double sigma_next = ladder.sigmas[static_cast<size_t>(i) + 1];
    const bool churns = sigma >= options.s_tmin && sigma <= options.s_tmax;
    const double gamma =
        churns ? std::min(options.s_churn / ladder.steps(), std::sqrt(2.0) - 1) : 0;
    const double sigma_hat = sigma * (gamma + 1);
    const double noise = options.s_noise * std::sqrt(sigma_hat * sigma_hat - sigma * sigma);

    PlanRow row = LadderRow(model, options, ladder, i);
    // What the network says of x is taken for the noised x: all of it with a model of EDM, only
    // epsilon with a model of betas.
    if (model.edm.has_value()) {
      const PlanRow noised = VarianceExplodingRow(model, options, sigma_hat, row.timestep);
      row.d_x = noised.d_x;
      row.d_f = noised.d_f;
    } else if (model.prediction_type == PredictionType::kEpsilon ||
               model.prediction_type == PredictionType::kScore) {
      row.d_f *= gamma + 1;
    }
    row.d_z = row.d_x * noise;
    const LinearExpression x_hat = columns.x() + noise * columns.z();
    const double kept = sigma_next / sigma_hat;
    const LinearExpression next[] = {kept * x_hat + (1 - kept) * columns.d()};
    columns.SetUpdate(next, &row);
    plan.rows.push_back(std::move(row));
  }
  return plan;
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
