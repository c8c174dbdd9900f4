// The reverse-time SDE of the forward process, dx = -beta (x / 2 + score) dt + sqrt(beta) dw
// backwards in t (Song et al. 2021, equation 6 with the VP coefficients of equation 11), by the
// Euler-Maruyama method on the timesteps asked for. The last step returns D, the mean of what is
// left to remove (Tweedie's formula; their appendix G), instead of noise that no step would undo.
#include <cmath>
#include <utility>

#include "model/sampling/continuous_schedule.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// The largest beta dt of an Euler-Maruyama step: from 4 on it throws x further than it was, however
// far that is (the cosine schedule's last timestep alone has 7). Longer ones are reverse diffusion
// steps (their equation 46), which discretise the same process and stay within it.
constexpr double kMostNoised = 1;

absl::StatusOr<SamplingPlan> CompileReverseSde(const ModelSchedule& model,
                                               const SamplingOptions& options) {
  ASSIGN_OR_RETURN(std::vector<int64_t> timesteps, VisitedTimesteps(model, options));
  const ContinuousSchedule schedule(model.schedule);

  SamplingPlan plan;
  plan.steps = static_cast<int>(timesteps.size());
  const PlanColumns columns(plan.registers);
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const double t = static_cast<double>(timesteps[i]);
    const double alpha_bar = schedule.alpha_bar(t);
    PlanRow row = VariancePreservingRow(model, options, alpha_bar, t);
    LinearExpression next = columns.d();
    if (i + 1 < timesteps.size()) {
      row.next_timestep = static_cast<double>(timesteps[i + 1]);
      const double noised = schedule.beta(t) * (t - row.next_timestep);
      if (noised > kMostNoised) {
        const double alpha = alpha_bar / schedule.alpha_bar(row.next_timestep);
        next = (2 - std::sqrt(alpha)) * columns.x() + (1 - alpha) * columns.Score(alpha_bar) +
               std::sqrt(1 - alpha) * columns.z();
      } else {
        next = columns.x() + noised * (0.5 * columns.x() + columns.Score(alpha_bar)) +
               std::sqrt(noised) * columns.z();
      }
    }
    columns.SetUpdate({&next, 1}, &row);
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

}  // namespace

const Sampler& ReverseSdeSampler() {
  static const auto& sampler = *new Sampler{
      .name = "reverse_sde",
      .description = "Euler-Maruyama on the reverse-time SDE (Song et al. 2021, equation 6)",
      .options = {"timestep_spacing", "arithmetic", "clip_sample", "thresholding",
                  "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {},
      .least_steps = 100,
      .compile = CompileReverseSde};
  return sampler;
}

}  // namespace diffusiond
