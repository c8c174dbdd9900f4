// Linear multistep (Adams-Bashforth on unequal steps) of order 4 on the probability-flow ODE
// dx/dsigma = (x - D) / sigma of Karras et al. 2022, equation 4: the polynomial through the last
// slopes is integrated exactly (Hairer, Norsett and Wanner 1993, section III.5).
#include <algorithm>
#include <vector>

#include "model/sampling/adams_bashforth.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr int kOrder = kMaxAdamsBashforthOrder;

absl::StatusOr<SamplingPlan> CompileLms(const ModelSchedule& model, const SamplingOptions& asked) {
  SamplingOptions options = asked;
  options.final_sigmas_type = FinalSigmas::kZero;
  ASSIGN_OR_RETURN(SigmaLadder ladder, FractionalLadder(model, options));

  // x and the last slopes, the latest first.
  SamplingPlan plan = LadderPlan(model, options, ladder, kOrder);
  const PlanColumns columns(plan.registers);
  for (int i = 0; i < ladder.steps(); ++i) {
    const double sigma = ladder.sigmas[static_cast<size_t>(i)];
    PlanRow row = LadderRow(model, options, ladder, i);
    const LinearExpression slope = (1 / sigma) * (columns.x() - columns.d());
    const int order = std::min(i + 1, kOrder);
    LinearExpression next[kOrder] = {columns.x(), slope};
    std::vector<double> nodes;  // The last sigmas.
    for (int back = 0; back < order; ++back) {
      nodes.push_back(ladder.sigmas[static_cast<size_t>(i - back)]);
    }
    for (int back = 0; back < order; ++back) {
      const double weight =
          AdamsBashforthWeight(nodes, ladder.sigmas[static_cast<size_t>(i) + 1], back);
      next[0] = next[0] + weight * (back == 0 ? slope : columns.saved(back));
    }
    for (int back = 2; back < kOrder; ++back) next[back] = columns.saved(back - 1);
    columns.SetUpdate(next, &row);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

}  // namespace

const Sampler& LmsSampler() {
  static const auto& sampler = *new Sampler{
      .name = "lms",
      .description =
          "linear multistep of order 4 on the probability-flow ODE (Karras et al. 2022, "
          "equation 4; Hairer et al. 1993, section III.5)",
      .options = {"timestep_spacing", "arithmetic", "sigma_schedule", "clip_sample", "thresholding",
                  "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {},
      .runs_edm = true,
      .compile = CompileLms};
  return sampler;
}

}  // namespace diffusiond
