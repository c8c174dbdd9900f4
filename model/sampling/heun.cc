// Heun's method of second order: Karras et al. 2022, algorithm 1. Two evaluations a step; the last
// step, to sigma 0, is Euler's, and so is one that shrinks sigma too much, but not as diffusers.
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Half of the step's change of sigma multiplies the slope at its end, where an error is divided by
// the sigma there: a step that shrinks sigma this much (the first of few timesteps may by
// thousands) is better without.
constexpr double kMostShrinkage = 30;

absl::StatusOr<SamplingPlan> CompileHeun(const ModelSchedule& model, const SamplingOptions& asked) {
  SamplingOptions options = asked;
  options.final_sigmas_type = FinalSigmas::kZero;
  ASSIGN_OR_RETURN(SigmaLadder ladder, FractionalLadder(model, options));

  SamplingPlan plan = LadderPlan(model, options, ladder, 2);
  const PlanColumns columns(plan.registers);
  const LinearExpression x = columns.x(), start = columns.saved(1), d = columns.d();
  for (int i = 0; i < ladder.steps(); ++i) {
    const double sigma = ladder.sigmas[static_cast<size_t>(i)];
    const double sigma_next = ladder.sigmas[static_cast<size_t>(i) + 1];
    const bool corrects =
        sigma_next > 0 && (AsDiffusers(options) || sigma < kMostShrinkage * sigma_next);

    PlanRow predict = LadderRow(model, options, ladder, i);
    const double kept = sigma_next / sigma;
    const LinearExpression predicted[] = {kept * x + (1 - kept) * d, x};
    columns.SetUpdate(predicted, &predict);
    predict.ends_step = !corrects;
    plan.rows.push_back(std::move(predict));
    if (!corrects) continue;

    // The mean of both slopes: that of the prediction is (x - start) / (sigma_next - sigma).
    PlanRow correct = VarianceExplodingRow(model, options, sigma_next, ladder.next_timestep(i));
    const double step = (sigma_next - sigma) / sigma_next;
    const LinearExpression corrected[] = {0.5 * (start + x) + 0.5 * step * (x - d)};
    columns.SetUpdate(corrected, &correct);
    correct.preview_scale = PreviewScale(sigma_next);
    correct.next_timestep = ladder.next_timestep(i);
    plan.rows.push_back(std::move(correct));
  }
  return plan;
}

}  // namespace

const Sampler& HeunSampler() {
  static const auto& sampler =
      *new Sampler{.name = "heun",
                   .description =
                       "Heun's method on the probability-flow ODE, two evaluations a "
                       "step (Karras et al. 2022, algorithm 1)",
                   .options = {"timestep_spacing", "arithmetic", "sigma_schedule", "clip_sample",
                               "thresholding", "dynamic_thresholding_ratio", "sample_max_value"},
                   .solver_types = {},
                   .runs_edm = true,
                   .compile = CompileHeun};
  return sampler;
}

}  // namespace diffusiond
