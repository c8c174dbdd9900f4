// DPM-Solver++, multistep, orders 1 to 3, on the data prediction D: Lu et al. 2022b, equation 9
// (order 1), algorithm 2 (2M); with lambda = log(alpha / sigma) and h its growth in a step,
//   x_t = sigma_t / sigma_s x - alpha_t (e^-h - 1) D + higher terms from the last D's.
// "sde-dpmsolver++" solves the reverse-time SDE instead (their appendix A, SDE-DPM-Solver++(2M)):
// the same in 2h, and noise. `solver_type` says how the second order reads the last two D's.
#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr int kFewSteps = 15;  // Below it, lower_order_final acts; as diffusers has it.

// The third order takes differences of D's that carry each step's noise, and enlarges them: its
// error grows with the steps. The paper has none; diffusers has.
absl::Status CheckOrder(const SamplingOptions& options) {
  const bool is_sde = options.algorithm_type == DpmAlgorithm::kSde;
  if (!is_sde || options.solver_order <= 2 || AsDiffusers(options)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "solver_order is ", options.solver_order,
      "; it must be 1 or 2 with algorithm_type sde-dpmsolver++ (3 with arithmetic diffusers)"));
}

// Of step i.
int Order(const SigmaLadder& ladder, const SamplingOptions& options, int i) {
  const int left = ladder.steps() - i;
  const bool few = options.lower_order_final && options.steps < kFewSteps;
  int order = std::min(static_cast<int>(options.solver_order), i + 1);
  const double last = ladder.sigmas.back();
  // The same level twice is diffusers': nothing moves.
  const bool stays = last == ladder.sigmas[ladder.sigmas.size() - 2];
  if (left == 1 && (few || options.euler_at_final || last == 0 || stays)) order = 1;
  if (left == 2 && few) order = std::min(order, 2);
  return order;
}

// The weighted differences of D, this one and the last two, that stand for its first derivative
// times h and half its second times h^2.
struct Derivatives {
  LinearExpression first, second;
};

Derivatives DerivativesOf(const PlanColumns& columns, const SigmaLadder& ladder, int i, int order) {
  const auto lambda = [&ladder](int k) { return -std::log(ladder.sigmas[static_cast<size_t>(k)]); };
  if (order == 1) return {};
  const double h = lambda(i + 1) - lambda(i);
  const double r0 = (lambda(i) - lambda(i - 1)) / h;
  const LinearExpression near = (1 / r0) * (columns.d() - columns.saved(1));
  if (order == 2) return {near, {}};
  const double r1 = (lambda(i - 1) - lambda(i - 2)) / h;
  const LinearExpression far = (1 / r1) * (columns.saved(1) - columns.saved(2));
  return {near + r0 / (r0 + r1) * (near - far), 1 / (r0 + r1) * (near - far)};
}

// The new x.
LinearExpression Update(const PlanColumns& columns, const SigmaLadder& ladder,
                        const SamplingOptions& options, int i) {
  const double sigma = ladder.sigmas[static_cast<size_t>(i)];
  const double sigma_next = ladder.sigmas[static_cast<size_t>(i) + 1];
  const double alpha = 1 / std::sqrt(1 + sigma * sigma);
  const double alpha_next = 1 / std::sqrt(1 + sigma_next * sigma_next);
  const bool sde = options.algorithm_type == DpmAlgorithm::kSde;
  // e^-h, which stays finite where sigma_next is 0; in the SDE all is in 2h.
  const double shrink = sigma_next / sigma;
  const double decay = sde ? shrink * shrink : shrink;
  const double kept = shrink * alpha_next / alpha * (sde ? shrink : 1);
  const int order = Order(ladder, options, i);
  const Derivatives derivatives = DerivativesOf(columns, ladder, i, order);

  LinearExpression next = kept * columns.x() + alpha_next * (1 - decay) * columns.d();
  if (order > 1) {
    const double h = -std::log(decay);
    const bool midpoint = order == 2 && options.solver_type == SolverType::kMidpoint;
    const double first = midpoint ? (1 - decay) / 2 : 1 - (1 - decay) / h;
    next = next + alpha_next * first * derivatives.first;
    if (order == 3) {
      // The integral of e^(u - h) u^2 over 0 .. h, over h^2. diffusers takes half of it, as if the
      // difference were the whole second derivative: the order is then 2.
      const double second = 1 - 2 * (h - 1 + decay) / (h * h);
      const double taken = AsDiffusers(options) ? second / 2 : second;
      next = next + alpha_next * taken * derivatives.second;
    }
  }
  if (sde) next = next + sigma_next * alpha_next * std::sqrt(1 - decay) * columns.z();
  return next;
}

absl::StatusOr<SamplingPlan> CompileDpmpp(const ModelSchedule& model,
                                          const SamplingOptions& options) {
  RETURN_IF_ERROR(CheckOrder(options));
  // diffusers rounds a curve's timesteps, but for the cosine schedule cuts them.
  ASSIGN_OR_RETURN(
      SigmaLadder ladder,
      SolverLadder(model, options, model.cosine ? Rounding::kDown : Rounding::kNearest));

  SamplingPlan plan;
  plan.registers = static_cast<int>(options.solver_order);  // x and the last D's, latest first.
  plan.steps = ladder.steps();
  const PlanColumns columns(plan.registers);
  for (int i = 0; i < ladder.steps(); ++i) {
    const double sigma = ladder.sigmas[static_cast<size_t>(i)];
    PlanRow row = VariancePreservingRow(model, options, 1 / (1 + sigma * sigma),
                                        ladder.timesteps[static_cast<size_t>(i)]);
    std::vector<LinearExpression> next = {Update(columns, ladder, options, i)};
    if (plan.registers > 1) next.push_back(columns.d());
    if (plan.registers > 2) next.push_back(columns.saved(1));
    columns.SetUpdate(next, &row);
    row.next_timestep = ladder.next_timestep(i);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

}  // namespace

const Sampler& DpmppSampler() {
  static const auto& sampler = *new Sampler{
      .name = "dpmpp",
      .description =
          "DPM-Solver++ multistep, order 1 to 3, ODE or SDE (Lu et al. 2022, algorithm "
          "2)",
      .options = {"timestep_spacing", "arithmetic", "sigma_schedule", "final_sigmas_type",
                  "solver_order", "solver_type", "algorithm_type", "lower_order_final",
                  "euler_at_final", "clip_sample", "thresholding", "dynamic_thresholding_ratio",
                  "sample_max_value"},
      .solver_types = {"midpoint", "heun"},
      .compile = CompileDpmpp};
  return sampler;
}

}  // namespace diffusiond
