#include "model/diffusion/loss_weights.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "absl/strings/str_cat.h"
#include "model/diffusion/parameterization.h"
#include "model/status/status_macros.h"

namespace diffusiond {

absl::Status Validate(const LossWeighting& weighting) {
  if (!(weighting.min_snr_gamma > 0 && std::isfinite(weighting.min_snr_gamma))) {
    return absl::InvalidArgumentError(
        absl::StrCat("min_snr_gamma is ", weighting.min_snr_gamma, "; it must be above 0"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> LossWeights(const NoiseSchedule& schedule,
                                                PredictionType prediction, ReverseVariance variance,
                                                const LossWeighting& weighting) {
  RETURN_IF_ERROR(Validate(weighting));
  const bool large =
      variance == ReverseVariance::kFixedLarge && weighting.kind == LossWeight::kBound;
  const VariationalBound bound(schedule.betas(),
                               large ? ReverseVariance::kFixedLarge : ReverseVariance::kFixedSmall);
  const double to_bits = static_cast<double>(bound.num_timesteps()) * std::numbers::log2e;
  std::vector<double> weights;
  for (int64_t t = 0; t < bound.num_timesteps(); ++t) {
    const double alpha_bar = schedule.alpha_bar(t), snr = alpha_bar / (1 - alpha_bar);
    const Parameterization p = Parameterize(prediction, alpha_bar);
    const VariationalBound::Step& step = bound.step(t);
    double weight = p.eps_f * p.eps_f;
    if (weighting.kind == LossWeight::kUnit && prediction != PredictionType::kScore) weight = 1;
    if (weighting.kind == LossWeight::kMinSnr)
      weight *= std::min(1.0, weighting.min_snr_gamma / snr);
    if (weighting.kind == LossWeight::kBound || weighting.kind == LossWeight::kVdm) {
      const double mean_f = step.mean_x0 * p.x0_f;
      weight = to_bits * mean_f * mean_f / 2 * std::exp(-step.log_reverse);
    }
    if (!std::isfinite(weight)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "loss_weight ", std::string(WordOf(weighting.kind)), " is not finite at timestep ", t,
          ", where alpha_bar is ", alpha_bar, ": choose another prediction_type or weight"));
    }
    weights.push_back(weight);
  }
  return weights;
}

}  // namespace diffusiond
