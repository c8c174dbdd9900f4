#include "model/training/denoising_objective.h"

#include <utility>
#include <vector>

#include "model/diffusion/loss_weights.h"
#include "model/diffusion/noise_schedule.h"
#include "model/diffusion/variational_bound.h"

namespace diffusiond {
namespace {

class DenoisingObjective : public Objective {
 public:
  DenoisingObjective(const NoiseSchedule& schedule, PredictionType prediction,
                     const std::vector<double>& weights, torch::Device device)
      : prediction_(prediction) {
    const torch::Tensor alpha_bar =
        torch::tensor(schedule.alphas_cumprod(), torch::kFloat32).to(torch::kFloat64);
    signal_ = torch::sqrt(alpha_bar).to(torch::kFloat32).to(device);
    noise_ = torch::sqrt(1 - alpha_bar).to(torch::kFloat32).to(device);
    weights_ = torch::tensor(weights, torch::kFloat64).to(torch::kFloat32).to(device);
  }

  torch::Tensor LossPerImage(const NetworkFunction& network,
                             const DeviceBatch& batch) const override {
    const torch::Tensor &x0 = batch.x0, &eps = batch.eps;
    const auto at_timesteps = [&](const torch::Tensor& table) {
      return table.index_select(0, batch.timesteps).view({-1, 1, 1, 1});
    };
    const torch::Tensor signal = at_timesteps(signal_), noise = at_timesteps(noise_);
    const torch::Tensor output = network(signal * x0 + noise * eps, batch.timesteps, batch.labels);
    const torch::Tensor squared_error = (output - Target(signal, noise, x0, eps)).square();
    return weights_.index_select(0, batch.timesteps) * squared_error.flatten(1).mean(1);
  }

 private:
  torch::Tensor Target(const torch::Tensor& signal, const torch::Tensor& noise,
                       const torch::Tensor& x0, const torch::Tensor& eps) const {
    switch (prediction_) {
      case PredictionType::kSample:
        return x0;
      case PredictionType::kVelocity:
        return signal * eps - noise * x0;
      case PredictionType::kScore:
        return -eps / noise;
      case PredictionType::kEpsilon:
        break;
    }
    return eps;
  }

  PredictionType prediction_;
  torch::Tensor signal_, noise_, weights_;  // [T]: sqrt(alpha_bar), sqrt(1 - alpha_bar), w.
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Objective>> MakeDenoisingObjective(
    const SchedulerConfig& scheduler, const ObjectiveOptions& options, torch::Device device) {
  absl::StatusOr<NoiseSchedule> schedule = NoiseSchedule::Create(scheduler);
  if (!schedule.ok()) return schedule.status();
  absl::StatusOr<PredictionType> prediction = ParsePredictionType(scheduler.prediction_type);
  if (!prediction.ok()) return prediction.status();
  absl::StatusOr<ReverseVariance> variance = ParseReverseVariance(scheduler.variance_type);
  if (!variance.ok()) return variance.status();
  absl::StatusOr<std::vector<double>> weights =
      LossWeights(*schedule, *prediction, *variance, options.weight);
  if (!weights.ok()) return weights.status();
  return std::make_unique<const DenoisingObjective>(*schedule, *prediction, *weights, device);
}

}  // namespace diffusiond
