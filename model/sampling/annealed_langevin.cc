// Annealed Langevin dynamics: Song and Ermon 2019, algorithm 1, on x_0 + sigma eps. At each noise
// level, from the highest down, langevin_steps of
//   x <- x + alpha / 2 score + sqrt(alpha) z,  alpha = langevin_step_size sigma^2,
// the score being (D - x) / sigma^2. The very last returns D (Jolicoeur-Martineau et al. 2021,
// section 3) instead of noise that no step would undo.
#include <cmath>
#include <utility>

#include "model/sampling/langevin_options.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"

namespace diffusiond {
namespace {

absl::StatusOr<SamplingPlan> CompileAnnealedLangevin(const ModelSchedule& model,
                                                     const SamplingOptions& asked) {
  if (absl::Status status = CheckLangevin(asked, 0); !status.ok()) return status;
  SamplingOptions options = asked;
  options.final_sigmas_type = "zero";
  absl::StatusOr<SigmaLadder> ladder = FractionalLadder(model, options);
  if (!ladder.ok()) return ladder.status();

  SamplingPlan plan = LadderPlan(model, options, *ladder, 1);
  const PlanColumns columns(plan.registers);
  const double step = options.langevin_step_size;
  for (int i = 0; i < ladder->steps(); ++i) {
    const double sigma = ladder->sigmas[static_cast<size_t>(i)];
    const double timestep = ladder->timesteps[static_cast<size_t>(i)];
    PlanRow row = VarianceExplodingRow(model, options, sigma, timestep);
    const LinearExpression moved = columns.x() + step / 2 * (columns.d() - columns.x()) +
                                   std::sqrt(step) * sigma * columns.z();
    columns.SetUpdate({&moved, 1}, &row);
    row.preview_scale = PreviewScale(sigma);
    row.next_timestep = timestep;
    row.ends_step = false;
    plan.rows.insert(plan.rows.end(), static_cast<size_t>(options.langevin_steps), row);
    plan.rows.back().ends_step = true;
    plan.rows.back().next_timestep = ladder->next_timestep(i);
  }
  const LinearExpression clean = columns.d();
  columns.SetUpdate({&clean, 1}, &plan.rows.back());
  plan.rows.back().preview_scale = 1;
  return plan;
}

}  // namespace

const Sampler& AnnealedLangevinSampler() {
  static const auto& sampler = *new Sampler{
      .name = "annealed_langevin",
      .description = "Langevin dynamics at each noise level (Song and Ermon 2019, algorithm 1)",
      .options = {"timestep_spacing", "sigma_schedule", "langevin_steps", "langevin_step_size",
                  "clip_sample", "thresholding", "dynamic_thresholding_ratio", "sample_max_value"},
      .solver_types = {},
      .langevin_steps = 10,
      .runs_edm = true,
      .compile = CompileAnnealedLangevin};
  return sampler;
}

}  // namespace diffusiond
