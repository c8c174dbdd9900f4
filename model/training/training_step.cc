#include "model/training/training_step.h"

#include <cmath>
#include <utility>

namespace diffusiond {

bool StepOutcome::finite() const { return std::isfinite(loss) && std::isfinite(gradient_norm); }

TrainingStep::TrainingStep(const TrainerOptions& options, const ImageDataset* train,
                           const Objective* objective, UNet* network, torch::Tensor gradient,
                           int64_t first_step, std::span<float> loss_history, LossHook hook)
    : options_(options),
      objective_(objective),
      network_(network),
      gradient_(std::move(gradient)),
      loss_history_(loss_history),
      hook_(std::move(hook)),
      step_(first_step),
      source_(train, MakeBatchOptions(options)),
      prefetcher_([this, first_step](int64_t index, TrainingBatch* batch) {
        source_.Fill(first_step + index, batch);
      }) {}

StepOutcome TrainingStep::Next() {
  StepOutcome outcome;
  outcome.waited = prefetcher_.Take(&batch_);
  if (!loss_history_.empty()) DrawByImportance(loss_history_, &batch_);
  // Dropout is the one thing that draws from LibTorch's generator.
  torch::manual_seed(options_.seed * 0x9E3779B97F4A7C15ULL + static_cast<uint64_t>(step_));
  network_->train();
  gradient_.zero_();
  torch::Tensor losses = objective_->LossPerImage(*network_, batch_, gradient_.device());
  if (hook_) losses = hook_(step_, losses);
  const torch::Tensor loss = loss_history_.empty()
                                 ? losses.mean()
                                 : (losses * torch::tensor(batch_.weights, losses.device())).mean();
  loss.backward();
  outcome.loss = loss.item<double>();
  outcome.gradient_norm = gradient_.norm().item<double>();
  const torch::Tensor host = losses.detach().to(torch::kCPU, torch::kFloat32).contiguous();
  outcome.losses.assign(host.data_ptr<float>(), host.data_ptr<float>() + host.numel());
  outcome.timesteps = batch_.timesteps;
  outcome.images = batch_.indices;
  if (!loss_history_.empty() && outcome.finite()) {
    RecordLosses(outcome.timesteps, outcome.losses, loss_history_);
  }
  ++step_;
  return outcome;
}

}  // namespace diffusiond
