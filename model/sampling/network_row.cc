#include "model/sampling/network_row.h"

#include <cmath>
#include <limits>

#include "model/sampling/parameterization.h"

namespace diffusiond {

PlanRow VariancePreservingRow(const ModelSchedule& model, const SamplingOptions& options,
                              double alpha_bar, double timestep) {
  const Parameterization p = Parameterize(model.prediction_type, alpha_bar);
  PlanRow row;
  row.timestep = timestep;
  row.d_x = p.x0_x;
  row.d_f = p.x0_f;
  row.clip_range =
      options.clip_sample ? model.clip_sample_range : std::numeric_limits<double>::infinity();
  if (options.thresholding) {
    row.threshold_quantile = options.dynamic_thresholding_ratio;
    row.threshold_max = options.sample_max_value;
  }
  return row;
}

PlanRow VarianceExplodingRow(const ModelSchedule& model, const SamplingOptions& options,
                             double sigma, double timestep) {
  const double scale = 1 / std::sqrt(1 + sigma * sigma);
  PlanRow row = VariancePreservingRow(model, options, scale * scale, timestep);
  row.c_in = scale;
  row.d_x *= scale;
  return row;
}

double PreviewScale(double sigma) { return 1 / std::sqrt(1 + sigma * sigma); }

}  // namespace diffusiond
