// Adds steps up into the points of progress.h.
#ifndef DIFFUSIOND_MODEL_TRAINING_PROGRESS_PROGRESS_METER_H_
#define DIFFUSIOND_MODEL_TRAINING_PROGRESS_PROGRESS_METER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/training/progress/progress.h"

namespace diffusiond {

// One step, as the meter sees it.
struct MeteredStep {
  double loss = 0;
  std::span<const int64_t> timesteps;  // Of the batch's images, each in 0 .. T - 1,
  std::span<const float> losses;       // and their losses.
  absl::Duration waited;               // For the batch.
};

// Thread-compatible.
class ProgressMeter {
 public:
  // The clock runs from here. `now` is handed in by tests.
  ProgressMeter(int64_t total_steps, int64_t batch_size, int64_t num_train_timesteps,
                std::function<absl::Time()> now = absl::Now);

  // Counts a step into the next point.
  void AddStep(const MeteredStep& step);
  void SetHeldOutLoss(double loss) { held_out_loss_ = loss; }

  // The point at `step`, from the steps since the last call; what a step alone knows (learning
  // rate, gradient norm, skipped steps) is the caller's to fill in.
  ProgressPoint Take(int64_t step);

  // Time between these (saving, sampling) does not count.
  void PauseClock();
  void ResumeClock();

  // Of all steps so far.
  double total_waiting_share() const;

 private:
  const int64_t total_steps_;
  const int64_t batch_size_;
  const int64_t num_train_timesteps_;
  const std::function<absl::Time()> now_;
  absl::Time running_since_;
  absl::Duration running_;  // Since the last point, without pauses.
  absl::Duration waited_;
  absl::Duration total_running_, total_waited_;  // Up to the last point.
  double loss_sum_ = 0;
  int64_t steps_ = 0;
  std::array<double, kLossLevels> level_sum_ = {};
  std::array<int64_t, kLossLevels> level_count_ = {};
  std::optional<double> held_out_loss_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_PROGRESS_PROGRESS_METER_H_
