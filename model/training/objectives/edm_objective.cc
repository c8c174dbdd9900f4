#include "model/training/objectives/edm_objective.h"

#include <cmath>

#include "model/diffusion/noise_schedule.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

class EdmObjective : public Objective {
 public:
  EdmObjective(double sigma_data, bool negative_output, double log_sigma_mean,
               double log_sigma_deviation)
      : sigma_data_(sigma_data),
        output_sign_(negative_output ? -1 : 1),
        log_sigma_mean_(log_sigma_mean),
        log_sigma_deviation_(log_sigma_deviation) {}

  torch::Tensor LossPerImage(const NetworkFunction& network,
                             const DeviceBatch& batch) const override {
    // The levels are multiples of 2^-32; the quantile of 0 is not finite.
    constexpr double kLeastLevel = 1e-10;
    const torch::Tensor level = batch.levels.clamp(kLeastLevel, 1 - kLeastLevel);
    const torch::Tensor log_sigma =
        log_sigma_mean_ + log_sigma_deviation_ * std::sqrt(2.0) * torch::erfinv(2 * level - 1);
    const torch::Tensor sigma = torch::exp(log_sigma);
    const torch::Tensor total = torch::sqrt(sigma * sigma + sigma_data_ * sigma_data_);
    const auto columns = [](const torch::Tensor& of_image) {
      return of_image.to(torch::kFloat32).view({-1, 1, 1, 1});
    };
    const torch::Tensor skip = columns(sigma_data_ * sigma_data_ / (total * total));
    const torch::Tensor out = columns(output_sign_ * sigma_data_ * sigma / total);

    const torch::Tensor x = batch.x0 + columns(sigma) * batch.eps;
    const torch::Tensor f =
        network(columns(1 / total) * x, (log_sigma / 4).to(torch::kFloat32), batch.labels);
    return torch::mse_loss(f, (batch.x0 - skip * x) / out, at::Reduction::None).flatten(1).mean(1);
  }

 private:
  const double sigma_data_, output_sign_, log_sigma_mean_, log_sigma_deviation_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Objective>> MakeEdmObjective(const SchedulerConfig& scheduler,
                                                                  const ObjectiveOptions& options) {
  ASSIGN_OR_RETURN(PredictionType prediction, ParsePredictionType(scheduler.prediction_type));
  // diffusers' v-prediction is F with the other sign.
  return std::make_unique<const EdmObjective>(scheduler.edm.sigma_data,
                                              prediction == PredictionType::kVelocity,
                                              options.edm_mean, options.edm_deviation);
}

}  // namespace diffusiond
