#include "model/training/loop/training_step.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace diffusiond {
namespace {

// What processes tell each other in a step, as one vector of doubles to be summed: the loss,
// whether to stop, and a row of three numbers for each image, of which each process fills in its
// own.
class Exchange {
 public:
  explicit Exchange(int64_t batch_size)
      : values_(torch::zeros({2 + 3 * batch_size}, torch::kFloat64)) {}

  void SetImages(int64_t begin, const TrainingBatch& batch) {
    double* row = data() + 2 + 3 * begin;
    for (size_t i = 0; i < batch.timesteps.size(); ++i, row += 3) {
      row[0] = static_cast<double>(batch.indices[i]);
      row[1] = static_cast<double>(batch.timesteps[i]);
    }
  }
  void SetLosses(int64_t begin, const torch::Tensor& losses) {
    const torch::Tensor host = losses.to(torch::kCPU, torch::kFloat64).contiguous();
    for (int64_t i = 0; i < host.numel(); ++i) {
      data()[2 + 3 * (begin + i) + 2] = host.data_ptr<double>()[i];
    }
  }
  double& loss() { return data()[0]; }
  double& stop() { return data()[1]; }

  torch::Tensor& values() { return values_; }

  void Read(StepOutcome* outcome) {
    values_ = values_.to(torch::kCPU);
    outcome->loss = loss();
    outcome->stop = stop() > 0;
    for (const double* row = data() + 2; row != data() + values_.numel(); row += 3) {
      outcome->images.push_back(static_cast<int64_t>(row[0]));
      outcome->timesteps.push_back(static_cast<int64_t>(row[1]));
      outcome->losses.push_back(static_cast<float>(row[2]));
    }
  }

 private:
  double* data() { return values_.data_ptr<double>(); }
  torch::Tensor values_;
};

}  // namespace

bool StepOutcome::finite() const { return std::isfinite(loss) && std::isfinite(gradient_norm); }

TrainingStep::TrainingStep(const TrainerOptions& options, const ImageDataset* train,
                           const Objective* objective, UNet* network, torch::nn::Module* trained,
                           torch::Tensor gradient, WorkerGroup* workers, int64_t first_step,
                           std::span<float> loss_history, LossHook hook)
    : options_(options),
      objective_(objective),
      network_(network),
      gradient_(std::move(gradient)),
      loss_history_(loss_history),
      hook_(std::move(hook)),
      rank_(workers == nullptr ? 0 : workers->rank()),
      processes_(workers == nullptr ? 1 : workers->size()),
      sum_(workers == nullptr ? nullptr
                              : std::make_unique<GradientSum>(trained, gradient_, workers)),
      first_step_(first_step),
      step_(first_step),
      source_(train, MakeBatchOptions(options)),
      prefetcher_([this](int64_t index, TrainingBatch* batch) { FillPiece(index, batch); }) {}

void TrainingStep::FillPiece(int64_t index, TrainingBatch* batch) {
  const int64_t piece = rank_ * options_.accumulate + index % options_.accumulate;
  source_.FillRows(first_step_ + index / options_.accumulate, piece * ImagesAtOnce(),
                   ImagesAtOnce(), batch);
}

torch::Tensor TrainingStep::Share(const torch::Tensor& losses, const torch::Tensor& weights) const {
  return (weights.defined() ? losses * weights : losses).sum() /
         static_cast<double>(options_.batch_size);
}

absl::StatusOr<torch::Tensor> TrainingStep::AddGradient(const torch::Tensor& weights, bool last) {
  if (options_.cuda_graph) return AddGradientByGraph(weights);
  torch::Tensor losses = objective_->LossPerImage(*network_, ToDevice(batch_, gradient_.device()));
  if (hook_) losses = hook_(step_, losses);
  const torch::Tensor loss = Share(losses, weights);
  if (sum_ != nullptr && last) sum_->Arm();
  loss.backward();
  return losses.detach();
}

absl::StatusOr<torch::Tensor> TrainingStep::AddGradientByGraph(const torch::Tensor& weights) {
  if (graph_ == nullptr) {
    graph_batch_ = ToDevice(batch_, gradient_.device());
    graph_weights_ = weights;
    graph_ = std::make_unique<StepGraph>(gradient_.device(), [this] {
      const torch::Tensor losses = objective_->LossPerImage(*network_, graph_batch_);
      Share(losses, graph_weights_).backward();
      graph_losses_ = losses.detach();
    });
  } else {
    CopyToDevice(batch_, &graph_batch_);
    if (weights.defined()) graph_weights_.copy_(weights);
  }
  if (absl::Status status = graph_->Run(); !status.ok()) return status;
  return graph_losses_;
}

absl::StatusOr<StepOutcome> TrainingStep::Next(bool stop) {
  StepOutcome outcome;
  Exchange exchange(options_.batch_size);
  exchange.stop() = stop ? 1 : 0;
  // Dropout is the one thing that draws from LibTorch's generator.
  torch::manual_seed((options_.seed + static_cast<uint64_t>(rank_)) * 0x9E3779B97F4A7C15ULL +
                     static_cast<uint64_t>(step_));
  network_->train();
  gradient_.zero_();
  const int64_t begin = rank_ * options_.accumulate * ImagesAtOnce();
  torch::Tensor total;
  std::vector<torch::Tensor> losses;
  for (int64_t piece = 0; piece < options_.accumulate; ++piece) {
    outcome.waited += prefetcher_.Take(&batch_);
    if (!loss_history_.empty()) DrawByImportance(loss_history_, &batch_);
    exchange.SetImages(begin + piece * ImagesAtOnce(), batch_);
    const torch::Tensor weights =
        loss_history_.empty() ? torch::Tensor() : torch::tensor(batch_.weights, gradient_.device());
    const absl::StatusOr<torch::Tensor> of_images =
        AddGradient(weights, piece + 1 == options_.accumulate);
    if (!of_images.ok()) return of_images.status();
    const torch::Tensor loss = Share(*of_images, weights);
    total = total.defined() ? total + loss : loss;
    losses.push_back(of_images->clone());
  }
  exchange.SetLosses(begin, torch::cat(losses));
  exchange.loss() = total.item<double>();
  if (sum_ != nullptr) {
    exchange.values() = exchange.values().to(gradient_.device());
    if (absl::Status status = sum_->Finish(exchange.values()); !status.ok()) return status;
  }
  exchange.Read(&outcome);
  outcome.gradient_norm = gradient_.norm().item<double>();
  if (!loss_history_.empty() && outcome.finite()) {
    RecordLosses(outcome.timesteps, outcome.losses, loss_history_);
  }
  ++step_;
  return outcome;
}

}  // namespace diffusiond
