#include "model/training/training_step.h"

#include <cmath>
#include <utility>

namespace diffusiond {

bool StepOutcome::finite() const { return std::isfinite(loss) && std::isfinite(gradient_norm); }

TrainingStep::TrainingStep(const TrainerOptions& options, const ImageDataset* train,
                           const Objective* objective, UNet* network, torch::Tensor gradient,
                           int64_t first_step, LossHook hook)
    : options_(options),
      objective_(objective),
      network_(network),
      gradient_(std::move(gradient)),
      hook_(std::move(hook)),
      step_(first_step),
      source_(train, MakeBatchOptions(options)),
      prefetcher_([this, first_step](int64_t index, TrainingBatch* batch) {
        source_.Fill(first_step + index, batch);
      }) {}

StepOutcome TrainingStep::Next() {
  StepOutcome outcome;
  outcome.waited = prefetcher_.Take(&batch_);
  // Dropout is the one thing that draws from LibTorch's generator.
  torch::manual_seed(options_.seed * 0x9E3779B97F4A7C15ULL + static_cast<uint64_t>(step_));
  network_->train();
  gradient_.zero_();
  torch::Tensor losses = objective_->LossPerImage(*network_, batch_);
  if (hook_) losses = hook_(step_, losses);
  const torch::Tensor loss = losses.mean();
  loss.backward();
  outcome.loss = loss.item<double>();
  outcome.gradient_norm = gradient_.norm().item<double>();
  const torch::Tensor host = losses.detach().to(torch::kCPU, torch::kFloat32).contiguous();
  outcome.losses.assign(host.data_ptr<float>(), host.data_ptr<float>() + host.numel());
  outcome.timesteps = batch_.timesteps;
  outcome.images = batch_.indices;
  ++step_;
  return outcome;
}

}  // namespace diffusiond
