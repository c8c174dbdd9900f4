// Predictor-corrector sampling: Song et al. 2021, algorithm 3 (VP), on any subsequence of
// timesteps. At each noise level some steps of Langevin dynamics (corrector), then one reverse
// diffusion step to the next level (predictor, their equation 46). Their corrector measures the
// score's norm to choose its step; here the step is fixed in parts of the noise variance, 1 -
// alpha_bar, which is what theirs comes to where the score's norm is as expected: signal-to-noise
// ratio r is a langevin_step_size of 4 r^2. The last step returns D (their appendix G).
#include <cmath>
#include <utility>

#include "model/sampling/langevin_options.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

absl::StatusOr<SamplingPlan> CompilePredictorCorrector(const ModelSchedule& model,
                                                       const SamplingOptions& options) {
  RETURN_IF_ERROR(CheckLangevin(options, 1));
  ASSIGN_OR_RETURN(std::vector<int64_t> timesteps, VisitedTimesteps(model, options));

  SamplingPlan plan;
  plan.steps = static_cast<int>(timesteps.size());
  const PlanColumns columns(plan.registers);
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const int64_t t = timesteps[i];
    const double alpha_bar = model.schedule.alpha_bar(t);
    const LinearExpression score = columns.Score(alpha_bar);
    PlanRow correct = VariancePreservingRow(model, options, alpha_bar, static_cast<double>(t));
    PlanRow predict = correct;

    const double step = options.langevin_step_size / 2 * (1 - alpha_bar);
    const LinearExpression corrected =
        columns.x() + step * score + std::sqrt(2 * step) * columns.z();
    columns.SetUpdate({&corrected, 1}, &correct);
    correct.ends_step = false;
    correct.next_timestep = static_cast<double>(t);
    plan.rows.insert(plan.rows.end(), static_cast<size_t>(options.langevin_steps), correct);

    LinearExpression predicted = columns.d();
    if (i + 1 < timesteps.size()) {
      const int64_t t_next = timesteps[i + 1];
      const double alpha = alpha_bar / model.schedule.alpha_bar(t_next);
      predicted = (2 - std::sqrt(alpha)) * columns.x() + (1 - alpha) * score +
                  std::sqrt(1 - alpha) * columns.z();
      predict.next_timestep = static_cast<double>(t_next);
    }
    columns.SetUpdate({&predicted, 1}, &predict);
    plan.rows.push_back(std::move(predict));
  }
  return plan;
}

}  // namespace

const Sampler& PredictorCorrectorSampler() {
  static const auto& sampler = *new Sampler{
      .name = "predictor_corrector",
      .description =
          "reverse diffusion steps, each after Langevin steps of a fixed size (Song et al. 2021, "
          "algorithm 3)",
      .options = {"timestep_spacing", "arithmetic", "langevin_steps", "langevin_step_size",
                  "clip_sample", "thresholding", "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {},
      .langevin_steps = 1,
      .least_steps = 60,
      .compile = CompilePredictorCorrector};
  return sampler;
}

}  // namespace diffusiond
