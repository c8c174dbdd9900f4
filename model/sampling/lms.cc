// Linear multistep (Adams-Bashforth on unequal steps) of order 4 on the probability-flow ODE
// dx/dsigma = (x - D) / sigma of Karras et al. 2022, equation 4: the polynomial through the last
// slopes is integrated exactly (Hairer, Norsett and Wanner 1993, section III.5).
#include <algorithm>
#include <cmath>
#include <vector>

#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"

namespace diffusiond {
namespace {

constexpr int kOrder = 4;

// The integral from sigmas[i] to sigmas[i + 1] of the polynomial that is 1 at sigmas[i - back] and
// 0 at the other of the last `order` sigmas. Gauss's rule with two nodes is exact for degree 3.
double Weight(const std::vector<double>& sigmas, int i, int back, int order) {
  const auto at = [&sigmas](int k) { return sigmas[static_cast<size_t>(k)]; };
  const double middle = (at(i) + at(i + 1)) / 2, half = (at(i + 1) - at(i)) / 2;
  double sum = 0;
  for (const double node : {-1 / std::sqrt(3.0), 1 / std::sqrt(3.0)}) {
    double value = 1;
    for (int k = 0; k < order; ++k) {
      if (k == back) continue;
      value *= (middle + half * node - at(i - k)) / (at(i - back) - at(i - k));
    }
    sum += half * value;
  }
  return sum;
}

absl::StatusOr<SamplingPlan> CompileLms(const ModelSchedule& model, const SamplingOptions& asked) {
  SamplingOptions options = asked;
  options.final_sigmas_type = "zero";
  absl::StatusOr<SigmaLadder> ladder = FractionalLadder(model, options);
  if (!ladder.ok()) return ladder.status();

  // x and the last slopes, the latest first.
  SamplingPlan plan = LadderPlan(model, options, *ladder, kOrder);
  const PlanColumns columns(plan.registers);
  for (int i = 0; i < ladder->steps(); ++i) {
    const double sigma = ladder->sigmas[static_cast<size_t>(i)];
    PlanRow row = LadderRow(model, options, *ladder, i);
    const LinearExpression slope = (1 / sigma) * (columns.x() - columns.d());
    const int order = std::min(i + 1, kOrder);
    LinearExpression next[kOrder] = {columns.x(), slope};
    for (int back = 0; back < order; ++back) {
      next[0] = next[0] +
                Weight(ladder->sigmas, i, back, order) * (back == 0 ? slope : columns.saved(back));
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
      .options = {"timestep_spacing", "sigma_schedule", "clip_sample", "thresholding",
                  "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {},
      .runs_edm = true,
      .compile = CompileLms};
  return sampler;
}

}  // namespace diffusiond
