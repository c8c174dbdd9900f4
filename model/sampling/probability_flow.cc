// The probability-flow ODE of the forward process, dx/dt = -beta (x + score) / 2 (Song et al. 2021,
// equation 13 with the VP coefficients of equation 11), by an explicit Runge-Kutta method in t on
// the timesteps asked for (Hairer, Norsett and Wanner 1993, section II.1). Stages between two
// timesteps ask the network at fractional ones. The last step returns D (their appendix G).
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/sampling/continuous_schedule.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// One evaluation of a method in which each stage starts from the slope of the stage before alone.
struct Stage {
  double at;      // In parts of the step; so much of the slope before leads here.
  double weight;  // Of this stage's slope in the step.
};

struct Method {
  SolverType solver_type;
  std::vector<Stage> stages;
};

const std::vector<Method>& Methods() {
  static const auto& methods = *new std::vector<Method>{
      {SolverType::kHeun, {{0, 1.0 / 2}, {1, 1.0 / 2}}},
      {SolverType::kEuler, {{0, 1}}},
      {SolverType::kRk4, {{0, 1.0 / 6}, {1.0 / 2, 1.0 / 3}, {1.0 / 2, 1.0 / 3}, {1, 1.0 / 6}}}};
  return methods;
}

absl::StatusOr<SamplingPlan> CompileProbabilityFlow(const ModelSchedule& model,
                                                    const SamplingOptions& options) {
  const auto method = std::find_if(Methods().begin(), Methods().end(), [&](const Method& m) {
    return m.solver_type == options.solver_type;
  });
  ASSIGN_OR_RETURN(std::vector<int64_t> timesteps, VisitedTimesteps(model, options));
  const ContinuousSchedule schedule(model.schedule);
  const std::vector<Stage>& stages = method->stages;

  SamplingPlan plan;
  plan.registers = 3;  // The stage's x, the step's start, and the step's end as far as summed up.
  plan.steps = static_cast<int>(timesteps.size());
  const PlanColumns columns(plan.registers);
  for (size_t i = 0; i + 1 < timesteps.size(); ++i) {
    const double t = static_cast<double>(timesteps[i]);
    const double t_next = static_cast<double>(timesteps[i + 1]);
    for (size_t k = 0; k < stages.size(); ++k) {
      const double t_stage = t + stages[k].at * (t_next - t);
      const double alpha_bar = schedule.alpha_bar(t_stage);
      // The slope times the step.
      const LinearExpression growth =
          -0.5 * schedule.beta(t_stage) * (t_next - t) * (columns.x() + columns.Score(alpha_bar));
      const LinearExpression start = k == 0 ? columns.x() : columns.saved(1);
      const LinearExpression sum =
          (k == 0 ? columns.x() : columns.saved(2)) + stages[k].weight * growth;
      PlanRow row = VariancePreservingRow(model, options, alpha_bar, t_stage);
      row.ends_step = k + 1 == stages.size();
      row.next_timestep = row.ends_step ? t_next : t + stages[k + 1].at * (t_next - t);
      const LinearExpression next[] = {row.ends_step ? sum : start + stages[k + 1].at * growth,
                                       start, sum};
      columns.SetUpdate(next, &row);
      plan.rows.push_back(std::move(row));
    }
  }
  const double t = static_cast<double>(timesteps.back());
  PlanRow row = VariancePreservingRow(model, options, schedule.alpha_bar(t), t);
  const LinearExpression clean = columns.d();
  columns.SetUpdate({&clean, 1}, &row);
  plan.rows.push_back(std::move(row));
  return plan;
}

}  // namespace

const Sampler& ProbabilityFlowSampler() {
  static const auto& sampler = *new Sampler{
      .name = "probability_flow",
      .description =
          "Euler's, Heun's or the classical Runge-Kutta method on the probability-flow ODE in t "
          "(Song et al. 2021, equation 13)",
      .options = {"timestep_spacing", "arithmetic", "solver_type", "clip_sample", "thresholding",
                  "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {"heun", "euler", "rk4"},
      .compile = CompileProbabilityFlow};
  return sampler;
}

}  // namespace diffusiond
