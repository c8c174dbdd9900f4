// Trains a U-Net by DDPM's algorithm 1 (Ho et al. 2020), or a classifier for one, and writes what
// the server serves.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_TRAINER_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_TRAINER_H_

#include <torch/torch.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/training/data/dataset.h"
#include "model/training/distributed/worker_group.h"
#include "model/training/loop/data_parallel.h"
#include "model/training/loop/training_step.h"
#include "model/training/objectives/objective.h"
#include "model/training/options/trainer_options.h"
#include "model/training/progress/progress.h"
#include "model/training/progress/progress_meter.h"
#include "model/training/run/run_writer.h"
#include "model/training/run/training_state.h"
#include "model/unet/unet.h"

namespace diffusiond {

// What a trainer works with; everything pointed to must outlive it.
struct TrainerParts {
  const ImageDataset* train = nullptr;
  const ImageDataset* held_out = nullptr;  // May be empty.
  torch::Device device = torch::kCPU;
  WorkerGroup* workers = nullptr;    // With whom batches are computed; null: alone.
  std::vector<ProgressSink*> sinks;  // Beside the run's own log.
  // Hears what went wrong or was left out while training went on.
  std::function<void(absl::string_view)> warn = [](absl::string_view) {};
  TrainingStep::LossHook loss_hook;  // See there; empty: none.
};

// Thread-compatible.
class Trainer {
 public:
  // Takes `options.out`, which no other process may train into. With `resume`, goes on from the
  // newest saved state that is whole (warns of others, which are set aside), or from step 0 if
  // there never was one. Without, refuses an `out` that has one (ALREADY_EXISTS). DATA_LOSS, with
  // and without, each time: there are some, and none is whole.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(TrainerOptions options, TrainerParts parts,
                                                         bool resume);

  // Trains to the last step, or until `stop` is set: then saves and returns. On the CPU, the
  // weights after step n are a function of the options, the data and the thread count, however
  // often training was stopped or killed before. INTERNAL: a loss is not finite (names the step and
  // the images).
  //
  // What cannot be written on the way, as on a full disk, is warned of, and training goes on; a
  // save is tried again a minute later. Not OK if the last save fails. Where the checkpoint cannot
  // be replaced the state is saved nevertheless; a run that is done when resumed writes its
  // checkpoint once more.
  //
  // Of several processes, all stop when one is told to. UNAVAILABLE: one was lost; rank 0 has saved
  // the last whole step.
  absl::Status Run(const std::atomic<bool>& stop);

  // Beside those of the parts, before Run(); of no use but in rank 0. Null is left out.
  void AddSink(ProgressSink* sink) {
    if (writer_ != nullptr && sink != nullptr) writer_->AddSink(sink);
  }

  int64_t step() const { return state_.step; }
  double waiting_share() const { return meter_.total_waiting_share(); }

 private:
  Trainer(TrainerOptions options, TrainerParts parts, std::unique_ptr<const Objective> objective,
          std::unique_ptr<const Objective> ema_objective);

  absl::Status Begin(bool resume);
  absl::Status TakeStep(const StepOutcome& outcome);
  absl::Status SkipStep(const StepOutcome& outcome);
  absl::Status AfterStep(double gradient_norm);
  void Measure();
  void WritePoint(double gradient_norm);
  // What is to be written beside the averaged weights.
  RunWriter::TrainedModel Trained() const;
  absl::Status Save();

  const TrainerOptions options_;
  const TrainerParts parts_;
  const std::unique_ptr<const Objective> objective_, ema_objective_;  // Of network_, and of ema_.
  std::unique_ptr<RunWriter> writer_;                                 // Null but in rank 0.
  std::shared_ptr<UNet> network_;               // Its parameters are views of state_.parameters,
  std::shared_ptr<UNet> ema_;                   // and of state_.ema.
  std::shared_ptr<torch::nn::Module> trained_;  // network_ and what objective_ learns.
  torch::Tensor gradient_;
  TrainingState state_;
  DataParallel parallel_;  // Sums gradient_.
  ProgressMeter meter_;
  std::unique_ptr<TrainingStep> training_step_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_TRAINER_H_
