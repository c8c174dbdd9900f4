#include "model/training/loop/training_step.h"

#include <utility>
#include <vector>

#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

void Append(const std::vector<int64_t>& values, std::vector<int64_t>* to) {
  to->insert(to->end(), values.begin(), values.end());
}

}  // namespace

TrainingStep::TrainingStep(Parts parts)
    : parts_(std::move(parts)),
      step_(parts_.first_step),
      source_(parts_.train, MakeBatchOptions(*parts_.options)),
      prefetcher_([this](int64_t index, TrainingBatch* batch) { FillPiece(index, batch); }) {}

void TrainingStep::FillPiece(int64_t index, TrainingBatch* batch) {
  const int64_t piece =
      parts_.parallel->rank() * parts_.options->accumulate + index % parts_.options->accumulate;
  source_.FillRows(parts_.first_step + index / parts_.options->accumulate, piece * ImagesAtOnce(),
                   ImagesAtOnce(), batch);
}

torch::Tensor TrainingStep::Share(const torch::Tensor& losses, const torch::Tensor& weights) const {
  return (weights.defined() ? losses * weights : losses).sum() /
         static_cast<double>(parts_.options->batch_size);
}

absl::StatusOr<torch::Tensor> TrainingStep::AddGradient(const torch::Tensor& weights, bool last) {
  if (parts_.options->cuda_graph) return AddGradientByGraph(weights);
  torch::Tensor losses =
      parts_.objective->LossPerImage(*parts_.network, ToDevice(batch_, parts_.gradient.device()));
  if (parts_.loss_hook) losses = parts_.loss_hook(step_, losses);
  const torch::Tensor loss = Share(losses, weights);
  if (last) parts_.parallel->BeforeLastBackward();
  loss.backward();
  return losses.detach();
}

absl::StatusOr<torch::Tensor> TrainingStep::AddGradientByGraph(const torch::Tensor& weights) {
  if (graph_ == nullptr) {
    graph_batch_ = ToDevice(batch_, parts_.gradient.device());
    graph_weights_ = weights;
    graph_ = std::make_unique<StepGraph>(parts_.gradient.device(), [this] {
      const torch::Tensor losses = parts_.objective->LossPerImage(*parts_.network, graph_batch_);
      Share(losses, graph_weights_).backward();
      graph_losses_ = losses.detach();
    });
  } else {
    CopyToDevice(batch_, &graph_batch_);
    if (weights.defined()) graph_weights_.copy_(weights);
  }
  RETURN_IF_ERROR(graph_->Run());
  return graph_losses_;
}

absl::StatusOr<StepOutcome> TrainingStep::Next(bool stop) {
  const std::span<float> history = parts_.loss_history;
  const torch::Tensor& gradient = parts_.gradient;
  // Dropout is the one thing that draws from LibTorch's generator.
  torch::manual_seed((parts_.options->seed + static_cast<uint64_t>(parts_.parallel->rank())) *
                         0x9E3779B97F4A7C15ULL +
                     static_cast<uint64_t>(step_));
  parts_.network->train();
  gradient.zero_();
  StepOutcome outcome;
  outcome.stop = stop;
  torch::Tensor total;
  std::vector<torch::Tensor> losses;
  for (int64_t piece = 0; piece < parts_.options->accumulate; ++piece) {
    outcome.waited += prefetcher_.Take(&batch_);
    if (!history.empty()) DrawByImportance(history, &batch_);
    Append(batch_.indices, &outcome.images);
    Append(batch_.timesteps, &outcome.timesteps);
    const torch::Tensor weights =
        history.empty() ? torch::Tensor() : torch::tensor(batch_.weights, gradient.device());
    ASSIGN_OR_RETURN(const torch::Tensor of_images,
                     AddGradient(weights, piece + 1 == parts_.options->accumulate));
    const torch::Tensor loss = Share(of_images, weights);
    total = total.defined() ? total + loss : loss;
    losses.push_back(of_images.clone());
  }
  // Not before all pieces are on their way: a GPU is waited for here.
  const torch::Tensor host = torch::cat(losses).to(torch::kCPU, torch::kFloat32).contiguous();
  outcome.losses.assign(host.data_ptr<float>(), host.data_ptr<float>() + host.numel());
  outcome.loss = total.item<double>();
  RETURN_IF_ERROR(parts_.parallel->FinishStep(parts_.options->batch_size, &outcome));
  outcome.gradient_norm = gradient.norm().item<double>();
  if (!history.empty() && outcome.finite()) {
    RecordLosses(outcome.timesteps, outcome.losses, history);
  }
  ++step_;
  return outcome;
}

}  // namespace diffusiond
