// DEIS, tAB in log(rho): Zhang and Chen 2023, algorithm 1 with equation 15. In rho, the sigma of
// x_0 + sigma eps, the probability-flow ODE is d(x / alpha) = eps d(rho); the polynomial in
// log(rho) through the last epsilons is integrated exactly.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/status/status.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr int kMaxOrder = 3;
constexpr int kFewSteps = 15;  // Below it, lower_order_final acts; as diffusers has it.

// Integrals of 1, log(rho) and log(rho)^2 from 0 to rho.
std::array<double, kMaxOrder> LogMoments(double rho) {
  if (rho == 0) return {};
  const double u = std::log(rho);
  return {rho, rho * (u - 1), rho * (u * u - 2 * u + 2)};
}

// The integral from rhos[0] to `end` of the polynomial in log(rho) that is 1 at rhos[back] and 0 at
// the others, which are the last, the latest first.
double Weight(const std::vector<double>& rhos, double end, size_t back) {
  std::array<double, kMaxOrder> polynomial = {1};  // By powers of log(rho).
  for (size_t k = 0; k < rhos.size(); ++k) {
    if (k == back) continue;
    const double root = std::log(rhos[k]), scale = std::log(rhos[back]) - root;
    for (size_t power = kMaxOrder; power-- > 0;) {
      const double lower = power > 0 ? polynomial[power - 1] : 0;
      polynomial[power] = (lower - root * polynomial[power]) / scale;
    }
  }
  const auto high = LogMoments(end), low = LogMoments(rhos[0]);
  double sum = 0;
  for (size_t power = 0; power < kMaxOrder; ++power) {
    sum += polynomial[power] * (high[power] - low[power]);
  }
  return sum;
}

// Of step i.
int Order(const SigmaLadder& ladder, const SamplingOptions& options, int i) {
  const int left = ladder.steps() - i;
  const bool few = options.lower_order_final && options.steps < kFewSteps;
  int order = std::min(static_cast<int>(options.solver_order), i + 1);
  // To where log(rho) is not finite the polynomial does not reach.
  if (left == 1 && (few || ladder.sigmas.back() == 0)) order = 1;
  if (left == 2 && few) order = std::min(order, 2);
  return order;
}

absl::StatusOr<SamplingPlan> CompileDeis(const ModelSchedule& model, const SamplingOptions& asked) {
  SamplingOptions options = asked;
  // diffusers stops at the least training sigma.
  if (AsDiffusers(options)) options.final_sigmas_type = FinalSigmas::kSigmaMin;
  ASSIGN_OR_RETURN(SigmaLadder ladder, SolverLadder(model, options, Rounding::kNearest));

  SamplingPlan plan;
  plan.registers = static_cast<int>(options.solver_order);  // x and the last epsilons.
  plan.steps = ladder.steps();
  const PlanColumns columns(plan.registers);
  for (int i = 0; i < ladder.steps(); ++i) {
    const double rho = ladder.sigmas[static_cast<size_t>(i)];
    const double end = ladder.sigmas[static_cast<size_t>(i) + 1];
    const double alpha = 1 / std::sqrt(1 + rho * rho), alpha_end = 1 / std::sqrt(1 + end * end);
    PlanRow row = VariancePreservingRow(model, options, alpha * alpha,
                                        ladder.timesteps[static_cast<size_t>(i)]);
    const LinearExpression epsilon = 1 / rho * (1 / alpha * columns.x() - columns.d());
    std::vector<double> rhos;
    for (int back = 0; back < Order(ladder, options, i); ++back) {
      rhos.push_back(ladder.sigmas[static_cast<size_t>(i - back)]);
    }
    LinearExpression x = 1 / alpha * columns.x();
    for (size_t back = 0; back < rhos.size(); ++back) {
      x = x +
          Weight(rhos, end, back) * (back == 0 ? epsilon : columns.saved(static_cast<int>(back)));
    }
    std::vector<LinearExpression> next = {alpha_end * x};
    if (plan.registers > 1) next.push_back(epsilon);
    if (plan.registers > 2) next.push_back(columns.saved(1));
    columns.SetUpdate(next, &row);
    row.next_timestep = ladder.next_timestep(i);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

}  // namespace

const Sampler& DeisSampler() {
  static const auto& sampler = *new Sampler{
      .name = "deis",
      .description =
          "DEIS, exponential integrator of order 1 to 3 in log(rho) (Zhang and Chen "
          "2023, algorithm 1)",
      .options = {"timestep_spacing", "arithmetic", "sigma_schedule", "final_sigmas_type",
                  "solver_order", "lower_order_final", "clip_sample", "thresholding",
                  "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {},
      .compile = CompileDeis};
  return sampler;
}

}  // namespace diffusiond
