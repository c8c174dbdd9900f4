#include "model/training/objective.h"

namespace diffusiond {
namespace {

template <typename T>
torch::Tensor FromHost(const std::vector<T>& values, at::IntArrayRef sizes, torch::Dtype dtype,
                       torch::Device device) {
  return torch::from_blob(const_cast<T*>(values.data()), sizes, torch::TensorOptions().dtype(dtype))
      .to(device);
}

}  // namespace

Objective::Objective(const NoiseSchedule& schedule, PredictionType prediction, torch::Device device)
    : prediction_(prediction), device_(device) {
  const torch::Tensor alpha_bar =
      torch::tensor(schedule.alphas_cumprod(), torch::kFloat32).to(torch::kFloat64);
  signal_ = torch::sqrt(alpha_bar).to(torch::kFloat32).to(device);
  noise_ = torch::sqrt(1 - alpha_bar).to(torch::kFloat32).to(device);
}

torch::Tensor Objective::LossPerImage(const UNet& network, const TrainingBatch& batch) const {
  const UNetConfig& config = network.config();
  const int64_t count = static_cast<int64_t>(batch.timesteps.size());
  const std::vector<int64_t> sizes = {count, config.in_channels, config.sample_height,
                                      config.sample_width};
  const torch::Tensor x0 = FromHost(batch.images, sizes, torch::kFloat32, device_);
  const torch::Tensor eps = FromHost(batch.noise, sizes, torch::kFloat32, device_);
  const torch::Tensor t = FromHost(batch.timesteps, {count}, torch::kInt64, device_);
  const torch::Tensor labels = FromHost(batch.labels, {count}, torch::kInt64, device_);
  const torch::Tensor signal = signal_.index_select(0, t).view({count, 1, 1, 1});
  const torch::Tensor noise = noise_.index_select(0, t).view({count, 1, 1, 1});

  const torch::Tensor output = network.Forward(signal * x0 + noise * eps, t, labels);
  torch::Tensor target = eps;
  if (prediction_ == PredictionType::kSample) target = x0;
  if (prediction_ == PredictionType::kVelocity) target = signal * eps - noise * x0;
  if (prediction_ == PredictionType::kScore) {
    return (noise * output + eps).square().flatten(1).mean(1);
  }
  return torch::mse_loss(output, target, at::Reduction::None).flatten(1).mean(1);
}

}  // namespace diffusiond
