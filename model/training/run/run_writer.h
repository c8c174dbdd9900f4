// What a run writes and tells: its directory, and those that listen.
#ifndef DIFFUSIOND_MODEL_TRAINING_RUN_RUN_WRITER_H_
#define DIFFUSIOND_MODEL_TRAINING_RUN_RUN_WRITER_H_

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/training/options/trainer_options.h"
#include "model/training/progress/progress.h"
#include "model/training/progress/progress_log.h"
#include "model/training/run/network_sheet.h"
#include "model/training/run/run_directory.h"
#include "model/training/run/save_schedule.h"
#include "model/training/run/training_state.h"
#include "model/unet/unet.h"

namespace diffusiond {

// Keeps options.out: log, sample sheets, saved states and the checkpoint. Of several processes one
// has it. Thread-compatible. Its tests are those of what a run survives: trainer_faults_test.cc.
class RunWriter {
 public:
  // What is written beside the averaged weights; not OK: a schedule that is learned is not, as it
  // stands, one that can be served.
  using TrainedModel = absl::StatusOr<CheckpointConfig>;

  struct Parts {
    const TrainerOptions* options = nullptr;  // Outlives this.
    std::string fingerprint;                  // Of the run.
    std::shared_ptr<const UNet> averaged;     // The network of the averaged weights.
    torch::Device device = torch::kCPU;
    std::vector<ProgressSink*> sinks;  // Beside the run's own log; they outlive this.
    std::function<void(absl::string_view)> warn;
  };

  // Takes the directory and loads the newest state in it that is whole; see Trainer::Create for
  // `resume` and for what is refused.
  static absl::StatusOr<std::unique_ptr<RunWriter>> Open(Parts parts, bool resume,
                                                         TrainingState* state);

  void AddSink(ProgressSink* sink) { sinks_.push_back(sink); }

  void WritePoint(const ProgressPoint& point);
  // Warns if it cannot.
  void WriteSampleSheet(int64_t step, const TrainedModel& model);
  absl::Status WriteCheckpoint(const TrainedModel& model);

  bool SaveIsDue(int64_t step) const { return save_schedule_.Due(step); }
  // The checkpoint and the state, and removes the oldest states; the state also where the
  // checkpoint fails: that must not cost what was learned.
  absl::Status Save(const TrainingState& state, const TrainedModel& model);
  // Of the newest saved state; -1: none.
  int64_t saved_step() const { return saved_step_; }

 private:
  RunWriter(Parts parts, std::unique_ptr<RunDirectory> directory, std::unique_ptr<ProgressLog> log,
            std::unique_ptr<NetworkSheet> sheet);

  absl::Status SampleSheet(int64_t step, const TrainedModel& model);

  const Parts parts_;
  const std::unique_ptr<RunDirectory> directory_;
  const std::unique_ptr<ProgressLog> log_;
  const std::unique_ptr<NetworkSheet> sheet_;
  std::vector<ProgressSink*> sinks_;
  SaveSchedule save_schedule_;
  int64_t saved_step_ = -1;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_RUN_RUN_WRITER_H_
