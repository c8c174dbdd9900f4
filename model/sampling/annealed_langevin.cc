// Annealed Langevin dynamics: Song and Ermon 2019, algorithm 1, on x_0 + sigma eps. At each noise
// level, from the highest down, langevin_steps of
//   x <- x + alpha / 2 score + sqrt(alpha) z,  alpha = langevin_step_size sigma^2,
// the score being (D - x) / sigma^2. The very last returns D (Jolicoeur-Martineau et al. 2021,
// section 3) instead of noise that no step would undo.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/sampling/langevin_options.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_columns.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sigma_ladder.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Noise, in pixels of -1 .. 1, that spoils an image, and how far they deviate in most data.
constexpr double kSpoilingNoise = 0.2, kDataDeviation = 0.5;

// A Langevin step forgets some of the noise that x has above its level: langevin_step_size / 2 of
// it where the level is far above the data, and less below, where noise passes for data. With few
// levels, and few steps at each, the noise of a high one is still there in the end.
absl::Status CheckForgets(const SigmaLadder& ladder, const SamplingOptions& options) {
  double kept = 1;  // Of the noise of step i, in the end.
  for (int i = ladder.steps() - 1; i >= 0; --i) {
    const double sigma = ladder.sigmas[static_cast<size_t>(i)];
    const double left = sigma * kept, spoiling = std::max(kSpoilingNoise, ladder.sigmas.back());
    if (i + 1 < ladder.steps() && sigma > 8 * kDataDeviation && left > spoiling) {
      return absl::InvalidArgumentError(absl::StrCat(
          "steps ", options.steps, " with langevin_steps ", options.langevin_steps,
          " and langevin_step_size ", options.langevin_step_size, " leave a noise of ", left,
          " in the image, of sigma ", sigma, " at step ", i, "; take more of any of the three"));
    }
    const double variance = sigma * sigma;
    const double forgotten =
        options.langevin_step_size / 2 * variance / (variance + kDataDeviation * kDataDeviation);
    kept *= std::pow(1 - forgotten, static_cast<double>(options.langevin_steps));
  }
  return absl::OkStatus();
}

absl::StatusOr<SamplingPlan> CompileAnnealedLangevin(const ModelSchedule& model,
                                                     const SamplingOptions& asked) {
  RETURN_IF_ERROR(CheckLangevin(asked, 0));
  SamplingOptions options = asked;
  options.final_sigmas_type = FinalSigmas::kZero;
  ASSIGN_OR_RETURN(SigmaLadder ladder, FractionalLadder(model, options));
  RETURN_IF_ERROR(CheckForgets(ladder, options));

  SamplingPlan plan = LadderPlan(model, options, ladder, 1);
  const PlanColumns columns(plan.registers);
  const double step = options.langevin_step_size;
  for (int i = 0; i < ladder.steps(); ++i) {
    const double sigma = ladder.sigmas[static_cast<size_t>(i)];
    const double timestep = ladder.timesteps[static_cast<size_t>(i)];
    PlanRow row = VarianceExplodingRow(model, options, sigma, timestep);
    const LinearExpression moved = columns.x() + step / 2 * (columns.d() - columns.x()) +
                                   std::sqrt(step) * sigma * columns.z();
    columns.SetUpdate({&moved, 1}, &row);
    row.preview_scale = PreviewScale(sigma);
    row.next_timestep = timestep;
    row.ends_step = false;
    plan.rows.insert(plan.rows.end(), static_cast<size_t>(options.langevin_steps), row);
    plan.rows.back().ends_step = true;
    plan.rows.back().next_timestep = ladder.next_timestep(i);
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
      .options = {"timestep_spacing", "arithmetic", "sigma_schedule", "langevin_steps",
                  "langevin_step_size", "clip_sample", "thresholding", "dynamic_thresholding_ratio",
                  "sample_max_value"},
      .solver_types = {},
      .langevin_steps = 10,
      .least_steps = 60,
      .runs_edm = true,
      .compile = CompileAnnealedLangevin};
  return sampler;
}

}  // namespace diffusiond
