// One step's gradient: batch, forward, backward.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_TRAINING_STEP_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_TRAINING_STEP_H_

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "model/training/batches/batch_prefetcher.h"
#include "model/training/batches/batch_source.h"
#include "model/training/loop/data_parallel.h"
#include "model/training/loop/step_graph.h"
#include "model/training/loop/step_outcome.h"
#include "model/training/objectives/objective.h"
#include "model/training/options/trainer_options.h"
#include "model/unet/unet.h"

namespace diffusiond {

// Thread-compatible; prepares batches on a thread of its own.
class TrainingStep {
 public:
  // May change the losses of a step's images before they are averaged. Tests make them NaN.
  using LossHook = std::function<torch::Tensor(int64_t step, const torch::Tensor& losses)>;

  // What a step works with; everything pointed to must outlive it.
  struct Parts {
    const TrainerOptions* options = nullptr;
    const ImageDataset* train = nullptr;
    const Objective* objective = nullptr;
    UNet* network = nullptr;
    torch::Tensor gradient;  // Of what is trained; parameters' gradients are views of it.
    DataParallel* parallel = nullptr;
    int64_t first_step = 0;  // Steps done before.
    // Of timestep_sampling.h: says where to train, and takes up each finite step's losses; empty:
    // not kept.
    std::span<float> loss_history;
    LossHook loss_hook;  // Empty: none.
  };

  explicit TrainingStep(Parts parts);

  // The gradient of the mean loss of the next step's batch; on return the parts' `gradient` holds
  // it. The outcome is the same in all processes, but for `waited`. UNAVAILABLE: a worker was lost.
  absl::StatusOr<StepOutcome> Next(bool stop);

 private:
  int64_t ImagesAtOnce() const {
    return parts_.options->batch_size / parts_.parallel->size() / parts_.options->accumulate;
  }
  void FillPiece(int64_t index, TrainingBatch* batch);
  // A piece's losses, each times its weight, to the share of the whole batch's mean.
  torch::Tensor Share(const torch::Tensor& losses, const torch::Tensor& weights) const;
  // Adds the piece's gradient; the losses of its images, detached, valid until the next piece.
  // `last`: of this process' batch, whose gradient is complete with it.
  absl::StatusOr<torch::Tensor> AddGradient(const torch::Tensor& weights, bool last);
  absl::StatusOr<torch::Tensor> AddGradientByGraph(const torch::Tensor& weights);

  const Parts parts_;
  int64_t step_;  // The next one's batch, counted from 0.
  BatchSource source_;
  TrainingBatch batch_;
  // With options->cuda_graph: the tensors that the graph reads, what it writes, and it.
  DeviceBatch graph_batch_;
  torch::Tensor graph_weights_, graph_losses_;
  std::unique_ptr<StepGraph> graph_;
  BatchPrefetcher prefetcher_;  // Uses source_.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_TRAINING_STEP_H_
