// One step's gradient: batch, forward, backward.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_TRAINING_STEP_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_TRAINING_STEP_H_

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/training/batches/batch_prefetcher.h"
#include "model/training/batches/batch_source.h"
#include "model/training/distributed/gradient_sum.h"
#include "model/training/distributed/worker_group.h"
#include "model/training/loop/step_graph.h"
#include "model/training/objectives/objective.h"
#include "model/training/options/trainer_options.h"
#include "model/unet/unet.h"

namespace diffusiond {

// Of the whole batch.
struct StepOutcome {
  double loss = 0;              // The mean over its images.
  double gradient_norm = 0;     // Before clipping.
  std::vector<int64_t> images;  // Indices in the training data,
  std::vector<int64_t> timesteps;
  std::vector<float> losses;  // and the loss of each.
  absl::Duration waited;      // This process, for data.
  bool stop = false;          // Some process was asked to stop.

  bool finite() const;
};

// Thread-compatible; prepares batches on a thread of its own.
class TrainingStep {
 public:
  // May change the losses of a step's images before they are averaged. Tests make them NaN.
  using LossHook = std::function<torch::Tensor(int64_t step, const torch::Tensor& losses)>;

  // `trained` is what objective and network learn; its parameters have gradients that are views of
  // `gradient`. `workers` compute a batch
  // together, each an equal share of its images, in order; null: alone. What is pointed to must
  // outlive this. `first_step`: steps done before. `loss_history`: of timestep_sampling.h, which
  // says where to train and takes up each finite step's losses; empty: not kept.
  TrainingStep(const TrainerOptions& options, const ImageDataset* train, const Objective* objective,
               UNet* network, torch::nn::Module* trained, torch::Tensor gradient,
               WorkerGroup* workers, int64_t first_step, std::span<float> loss_history,
               LossHook hook);

  // The gradient of the mean loss of the next step's batch; on return `gradient` holds it. The
  // outcome is the same in all processes, but for `waited`. UNAVAILABLE: a worker was lost.
  absl::StatusOr<StepOutcome> Next(bool stop);

 private:
  int64_t ImagesAtOnce() const { return options_.batch_size / processes_ / options_.accumulate; }
  void FillPiece(int64_t index, TrainingBatch* batch);
  // A piece's losses, each times its weight, to the share of the whole batch's mean.
  torch::Tensor Share(const torch::Tensor& losses, const torch::Tensor& weights) const;
  // Adds the piece's gradient; the losses of its images, detached, valid until the next piece.
  // `last`: of this process' batch, whose gradient is complete with it.
  absl::StatusOr<torch::Tensor> AddGradient(const torch::Tensor& weights, bool last);
  absl::StatusOr<torch::Tensor> AddGradientByGraph(const torch::Tensor& weights);

  const TrainerOptions& options_;
  const Objective* const objective_;
  UNet* const network_;
  const torch::Tensor gradient_;
  const std::span<float> loss_history_;
  const LossHook hook_;
  const int64_t rank_, processes_;
  const std::unique_ptr<GradientSum> sum_;  // Null: alone.
  const int64_t first_step_;
  int64_t step_;  // The next one's batch, counted from 0.
  BatchSource source_;
  TrainingBatch batch_;
  // With options_.cuda_graph: the tensors that the graph reads, what it writes, and it.
  DeviceBatch graph_batch_;
  torch::Tensor graph_weights_, graph_losses_;
  std::unique_ptr<StepGraph> graph_;
  BatchPrefetcher prefetcher_;  // Uses source_.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_TRAINING_STEP_H_
