#include "model/sampling/network_row.h"

#include <cmath>
#include <limits>

#include "model/config/scheduler_config.h"
#include "model/diffusion/parameterization.h"

namespace diffusiond {
namespace {

// Nothing but what is done to D.
PlanRow ClippingRow(const ModelSchedule& model, const SamplingOptions& options) {
  PlanRow row;
  row.clip_range =
      options.clip_sample ? model.clip_sample_range : std::numeric_limits<double>::infinity();
  if (options.thresholding) {
    row.threshold_quantile = options.dynamic_thresholding_ratio;
    row.threshold_max = options.sample_max_value;
  }
  return row;
}

}  // namespace

PlanRow VariancePreservingRow(const ModelSchedule& model, const SamplingOptions& options,
                              double alpha_bar, double timestep) {
  PlanRow row = ClippingRow(model, options);
  const Parameterization p = Parameterize(model.prediction_type, alpha_bar);
  row.signal = std::sqrt(alpha_bar);
  row.noise = std::sqrt(1 - alpha_bar);
  row.timestep = model.tells_log_sigma ? ToldLogSigma(row.signal, row.noise) : timestep;
  row.d_x = p.x0_x;
  row.d_f = p.x0_f;
  return row;
}

PlanRow VarianceExplodingRow(const ModelSchedule& model, const SamplingOptions& options,
                             double sigma, double timestep) {
  if (model.edm.has_value()) {
    PlanRow row = ClippingRow(model, options);
    const double data = model.edm->sigma_data, total = std::hypot(sigma, data);
    row.timestep = timestep;
    row.noise = sigma;
    row.c_in = 1 / total;
    row.d_x = data * data / (total * total);
    // diffusers' v-prediction is F with the other sign.
    row.d_f = sigma * data / total * (model.prediction_type == PredictionType::kVelocity ? -1 : 1);
    return row;
  }
  const double scale = 1 / std::sqrt(1 + sigma * sigma);
  PlanRow row = VariancePreservingRow(model, options, scale * scale, timestep);
  row.signal = 1;
  row.noise = sigma;
  row.c_in = scale;
  row.d_x *= scale;
  return row;
}

SamplingPlan LadderPlan(const ModelSchedule& model, const SamplingOptions& options,
                        const SigmaLadder& ladder, int registers) {
  SamplingPlan plan;
  plan.registers = registers;
  plan.steps = ladder.steps();
  plan.init_scale = InitNoiseSigma(model, ladder, options);
  return plan;
}

PlanRow LadderRow(const ModelSchedule& model, const SamplingOptions& options,
                  const SigmaLadder& ladder, int i) {
  const size_t at = static_cast<size_t>(i);
  PlanRow row = VarianceExplodingRow(model, options, ladder.sigmas[at], ladder.timesteps[at]);
  row.preview_scale = PreviewScale(ladder.sigmas[at + 1]);
  row.next_timestep = ladder.next_timestep(i);
  return row;
}

double PreviewScale(double sigma) { return 1 / std::sqrt(1 + sigma * sigma); }

}  // namespace diffusiond
