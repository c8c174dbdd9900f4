// Euler's method with ancestral noise: each step goes down to sigma_down by Euler's method on the
// probability-flow ODE (Karras et al. 2022, equation 4) and back up to sigma_next by noise, in the
// proportion of DDPM's posterior (Song et al. 2021, appendix F, equation 47).
#include <algorithm>
#include <cmath>

#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

absl::StatusOr<SamplingPlan> CompileEulerAncestral(const ModelSchedule& model,
                                                   const SamplingOptions& asked) {
  SamplingOptions options = asked;
  options.final_sigmas_type = FinalSigmas::kZero;
  ASSIGN_OR_RETURN(SigmaLadder ladder, FractionalLadder(model, options));

  SamplingPlan plan = LadderPlan(model, options, ladder, 1);
  const PlanColumns columns(plan.registers);
  for (int i = 0; i < ladder.steps(); ++i) {
    const double sigma = ladder.sigmas[static_cast<size_t>(i)];
    const double sigma_next = ladder.sigmas[static_cast<size_t>(i) + 1];
    const double ratio = sigma_next / sigma;
    const double sigma_up = sigma_next * std::sqrt(1 - ratio * ratio);
    const double sigma_down = sigma_next * ratio;

    PlanRow row = LadderRow(model, options, ladder, i);
    const double kept = sigma_down / sigma;
    const LinearExpression next[] = {kept * columns.x() + (1 - kept) * columns.d() +
                                     sigma_up * columns.z()};
    columns.SetUpdate(next, &row);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

}  // namespace

const Sampler& EulerAncestralSampler() {
  static const auto& sampler = *new Sampler{
      .name = "euler_ancestral",
      .description = "Euler's method with DDPM's share of noise (Song et al. 2021, equation 47)",
      .options = {"timestep_spacing", "arithmetic", "sigma_schedule", "clip_sample", "thresholding",
                  "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {},
      .runs_edm = true,
      .compile = CompileEulerAncestral};
  return sampler;
}

}  // namespace diffusiond
