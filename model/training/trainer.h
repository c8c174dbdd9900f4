// Trains a U-Net by DDPM's algorithm 1 (Ho et al. 2020) and writes what the server serves.
#ifndef DIFFUSIOND_MODEL_TRAINING_TRAINER_H_
#define DIFFUSIOND_MODEL_TRAINING_TRAINER_H_

#include <torch/torch.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/sampler.h"
#include "model/training/batch_source.h"
#include "model/training/data/dataset.h"
#include "model/training/objective.h"
#include "model/training/progress_log.h"
#include "model/training/training_state.h"
#include "model/unet/unet.h"

namespace diffusiond {

struct TrainerOptions {
  std::filesystem::path out;  // Receives checkpoint/, state.safetensors, log.jsonl, samples/.
  CheckpointConfig model;     // What is trained, and what is written beside the weights.
  torch::Device device = torch::kCPU;

  int64_t steps = 10000;  // In all, counting those of a resumed run. At least 1.
  int64_t batch_size = 64;
  uint64_t seed = 0;
  double learning_rate = 2e-4;
  int64_t warmup_steps = 500;  // The rate rises linearly from 0 over these.
  bool cosine_decay = true;    // Then falls to 0 at `steps` along a cosine; else it stays.
  double weight_decay = 0.01;
  double clip_grad_norm = 1;  // 0: no clipping.
  double ema_decay = 0.9999;
  double label_dropout = 0.1;  // Ignored without a null class.
  bool flip = false;

  int64_t held_out_images = 512;  // Of the held-out set, for the progress line.
  int64_t log_every = 50;         // Steps; 0 means never, for each of these.
  int64_t eval_every = 250;
  int64_t sample_every = 1000;
  int64_t save_every = 500;  // The last step saves in any case.

  SamplingOptions sampling;  // Of the sample sheets.
  double guidance_scale = 1;
};

// OK if every field is in range; else names the field, its value and the range.
absl::Status Validate(const TrainerOptions& options);

// Single-threaded, but for what LibTorch does inside.
class Trainer {
 public:
  // The data sets must outlive the trainer; `held_out` may be empty. With `resume`, goes on from
  // the saved state; else refuses an `out` that has one (ALREADY_EXISTS).
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(TrainerOptions options,
                                                         const ImageDataset* train,
                                                         const ImageDataset* held_out, bool resume);

  // Trains to the last step, or until `stop` is set: then saves and returns. On the CPU, the
  // weights after step n are a function of the options, the data and the thread count, however
  // often training was stopped or killed before. INTERNAL: the loss is not finite (names the step).
  absl::Status Run(const std::atomic<bool>& stop);

  int64_t step() const { return state_.step; }

 private:
  Trainer(TrainerOptions options, const ImageDataset* train, const ImageDataset* held_out,
          ModelSchedule schedule);

  double LearningRate(int64_t step) const;
  absl::StatusOr<double> Step(double* gradient_norm);
  double HeldOutLoss() const;
  absl::Status AfterStep(double loss, double gradient_norm);
  absl::Status WriteSampleSheet() const;
  absl::Status Save() const;

  const TrainerOptions options_;
  const ImageDataset* const train_;
  const ImageDataset* const held_out_;
  const ModelSchedule schedule_;
  const Objective objective_;
  std::string fingerprint_;
  BatchSource batches_;
  TrainingBatch batch_;
  std::shared_ptr<UNet> network_;  // Its parameters are views of state_.parameters,
  std::shared_ptr<UNet> ema_;      // and of state_.ema.
  torch::Tensor gradient_;
  TrainingState state_;
  std::unique_ptr<ProgressLog> log_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_TRAINER_H_
