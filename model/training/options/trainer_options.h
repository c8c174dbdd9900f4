// What a training run is told.
#ifndef DIFFUSIOND_MODEL_TRAINING_OPTIONS_TRAINER_OPTIONS_H_
#define DIFFUSIOND_MODEL_TRAINING_OPTIONS_TRAINER_OPTIONS_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/sampling/sampler.h"
#include "model/training/batches/batch_source.h"
#include "model/training/data/dataset.h"
#include "model/training/options/objective_options.h"
#include "model/training/options/on_non_finite.h"

namespace diffusiond {

struct TrainerOptions {
  std::filesystem::path out;  // Receives checkpoint/, states/, log.jsonl, samples/.
  // What is written: the trained weights and what describes them. With a classifier, that is the
  // network that is trained (classifier_objective.h), and the others are `base`'s.
  CheckpointConfig model;
  std::shared_ptr<const Checkpoint> base;  // The model that a classifier is trained for; else null.

  int64_t steps = 10000;    // In all, counting those of a resumed run. At least 1.
  int64_t batch_size = 64;  // Of the optimiser: divided among processes, and by `accumulate`.
  int64_t accumulate = 1;   // Pieces that a process's share of a batch is computed in.
  bool checkpoint_activations = false;  // UNet::SetRecompute.
  bool bf16 = false;                    // UNet::SetBf16.
  bool channels_last = false;           // UNet::SetChannelsLast.
  // Forward and backward as a StepGraph: one process on a GPU, without checkpoint_activations, a
  // learned schedule or a loss hook.
  bool cuda_graph = false;
  uint64_t seed = 0;
  double learning_rate = 2e-4;
  int64_t warmup_steps = 500;  // The rate rises linearly from 0 over these.
  bool cosine_decay = true;    // Then falls to 0 at `steps` along a cosine; else it stays.
  double weight_decay = 0.01;
  double clip_grad_norm = 1;  // 0: no clipping.
  double ema_decay = 0.9999;
  double label_dropout = 0.1;  // Ignored without a null class, and by a classifier.
  bool flip = false;
  ObjectiveOptions objective;

  OnNonFinite on_nan = OnNonFinite::kStop;
  int64_t max_skipped_steps = 100;  // Of a run, with kSkip; one more ends it.

  int64_t held_out_images = 512;  // Of the held-out set, for the progress line.
  int64_t log_every = 50;         // Steps; 0 means never, for each of these.
  int64_t eval_every = 250;
  int64_t sample_every = 1000;
  int64_t save_every = 500;                             // The last step saves in any case.
  absl::Duration save_interval = absl::ZeroDuration();  // Also when this has passed; 0: never.
  int64_t keep_checkpoints = 3;                         // Saved states that stay; at least 1.

  SamplingOptions sampling;   // Of the sample sheets.
  double guidance_scale = 1;  // Of a classifier: its scale.

  const UNetConfig& network() const { return model.classifier ? *model.classifier : model.unet; }
};

// OK if every field is in range; else names the field, its value and the range.
absl::Status Validate(const TrainerOptions& options);

// Names everything that the weights after a step depend on, but for what only changes rounding
// (thread count). A state is resumed under the same fingerprint alone.
absl::StatusOr<std::string> RunFingerprint(const TrainerOptions& options,
                                           const ImageDataset& train);

BatchOptions MakeBatchOptions(const TrainerOptions& options);

// AdamW's rate in the step that makes `step` steps done.
double LearningRateAt(const TrainerOptions& options, int64_t step);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OPTIONS_TRAINER_OPTIONS_H_
