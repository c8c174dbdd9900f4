// DDIM: Song, Meng and Ermon 2020, equation 12 with sigma from equation 16.
#include <algorithm>
#include <cmath>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/diffusion/parameterization.h"
#include "model/sampling/network_row.h"
#include "model/sampling/sampler.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

absl::StatusOr<SamplingPlan> CompileDdim(const ModelSchedule& model,
                                         const SamplingOptions& options) {
  if (!(options.eta >= 0 && options.eta <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("eta is ", options.eta, "; it must be in 0 .. 1"));
  }
  ASSIGN_OR_RETURN(std::vector<int64_t> timesteps, VisitedTimesteps(model, options));
  const double final_alpha_bar = model.set_alpha_to_one ? 1 : model.schedule.alpha_bar(0);

  SamplingPlan plan;
  plan.steps = static_cast<int>(timesteps.size());
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const int64_t t = timesteps[i];
    const int64_t t_next = NextTimestep(model, options, timesteps, i);
    const double alpha_bar = model.schedule.alpha_bar(t);
    const double alpha_bar_next = t_next >= 0 ? model.schedule.alpha_bar(t_next) : final_alpha_bar;
    const double sigma = options.eta * std::sqrt((1 - alpha_bar_next) / (1 - alpha_bar) *
                                                 (1 - alpha_bar / alpha_bar_next));
    const double direction = std::sqrt(std::max(0.0, 1 - alpha_bar_next - sigma * sigma));
    const Parameterization p = Parameterize(model.prediction_type, alpha_bar);

    PlanRow row = VariancePreservingRow(model, options, alpha_bar, static_cast<double>(t));
    const double signal_next = std::sqrt(alpha_bar_next);
    if (options.use_clipped_model_output) {
      const double noise = std::sqrt(1 - alpha_bar);
      row.update = {direction / noise, signal_next - direction * std::sqrt(alpha_bar) / noise, 0,
                    sigma};
    } else {
      // The direction keeps the network's own epsilon, also where D was clipped.
      row.update = {direction * p.eps_x, signal_next, direction * p.eps_f, sigma};
    }
    row.draws_noise = sigma > 0;
    row.next_timestep = i + 1 < timesteps.size() ? static_cast<double>(timesteps[i + 1]) : 0;
    plan.rows.push_back(std::move(row));
  }
  return plan;
}

// Where D is clipped and epsilon, which goes with it, is not, each step under guidance leaves a
// rest that adds up: with more than so many steps * (guidance_scale - 1) images drift from the data
// (the shipped models), and with more steps they are worse, not better.
constexpr double kMostClippedGuidance = 10;

std::string AdviseAgainstDrift(const SamplingOptions& options, double guidance_scale) {
  const bool drifts =
      !options.use_clipped_model_output && (options.clip_sample || options.thresholding) &&
      options.eta < 1 &&
      static_cast<double>(options.steps) * (guidance_scale - 1) > kMostClippedGuidance;
  if (!drifts) return "";
  return absl::StrCat("sampling.use_clipped_model_output is false; with ", options.steps,
                      " steps of guidance_scale ", guidance_scale,
                      " ddim drifts from the data where it clips: true holds it");
}

}  // namespace

const Sampler& DdimSampler() {
  static const auto& sampler = *new Sampler{
      .name = "ddim",
      .description = "deterministic at eta 0, ancestral at eta 1 (Song et al. 2020, equation 12)",
      .options = {"eta", "timestep_spacing", "arithmetic", "clip_sample",
                  "use_clipped_model_output", "thresholding", "dynamic_thresholding_ratio",
                  "sample_max_value"},
      .solver_types = {},
      .compile = CompileDdim,
      .advise = AdviseAgainstDrift};
  return sampler;
}

}  // namespace diffusiond
