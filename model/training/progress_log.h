// What a person and a plotting script read while training runs.
#ifndef DIFFUSIOND_MODEL_TRAINING_PROGRESS_LOG_H_
#define DIFFUSIOND_MODEL_TRAINING_PROGRESS_LOG_H_

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace diffusiond {

struct ProgressPoint {
  int64_t step = 0;
  int64_t images = 0;                   // Seen in all, with repetitions.
  double loss = 0;                      // Mean over the steps since the last point.
  std::optional<double> held_out_loss;  // Of the EMA weights, at its last measurement.
  double learning_rate = 0;
  double gradient_norm = 0;  // Before clipping, of this step.
};

// One line on standard output and one JSON object in a file per point. Thread-compatible.
class ProgressLog {
 public:
  // Appends to `path`. `total_steps` is for the time left. `now` is handed in by tests.
  static absl::StatusOr<std::unique_ptr<ProgressLog>> Open(
      const std::filesystem::path& path, int64_t total_steps, int64_t batch_size,
      std::function<absl::Time()> now = absl::Now);

  // Counts a step into the next point's mean loss.
  void AddStep(double loss);
  void SetHeldOutLoss(double loss) { held_out_loss_ = loss; }

  // Writes a point for `step`; images, loss and held-out loss are filled in.
  void Write(ProgressPoint point);

  // Starts the clock of images per second again, so that pauses (saving, sampling) do not count.
  void ResumeClock();
  void PauseClock();

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  ProgressLog(std::FILE* file, int64_t total_steps, int64_t batch_size,
              std::function<absl::Time()> now);

  std::unique_ptr<std::FILE, CloseFile> file_;
  const int64_t total_steps_;
  const int64_t batch_size_;
  const std::function<absl::Time()> now_;
  absl::Time running_since_;
  absl::Duration running_;  // Of the steps since the last point, without pauses.
  double loss_sum_ = 0;
  int64_t loss_count_ = 0;
  std::optional<double> held_out_loss_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_PROGRESS_LOG_H_
