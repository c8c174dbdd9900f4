#include "model/training/progress/progress_meter.h"

#include <algorithm>
#include <utility>

namespace diffusiond {
namespace {

double Share(absl::Duration part, absl::Duration whole) {
  return whole > absl::ZeroDuration() ? absl::FDivDuration(part, whole) : 0;
}

}  // namespace

ProgressMeter::ProgressMeter(int64_t total_steps, int64_t batch_size, int64_t num_train_timesteps,
                             std::function<absl::Time()> now)
    : total_steps_(total_steps),
      batch_size_(batch_size),
      num_train_timesteps_(num_train_timesteps),
      now_(std::move(now)),
      running_since_(now_()) {}

void ProgressMeter::AddStep(const MeteredStep& step) {
  loss_sum_ += step.loss;
  ++steps_;
  waited_ += step.waited;
  for (size_t i = 0; i < step.timesteps.size() && i < step.losses.size(); ++i) {
    const size_t level =
        static_cast<size_t>(step.timesteps[i] * int64_t{kLossLevels} / num_train_timesteps_);
    level_sum_[std::min(level, kLossLevels - 1)] += step.losses[i];
    ++level_count_[std::min(level, kLossLevels - 1)];
  }
}

void ProgressMeter::PauseClock() { running_ += now_() - running_since_; }

void ProgressMeter::ResumeClock() { running_since_ = now_(); }

double ProgressMeter::total_waiting_share() const { return Share(total_waited_, total_running_); }

ProgressPoint ProgressMeter::Take(int64_t step) {
  PauseClock();
  ResumeClock();
  ProgressPoint point;
  point.step = step;
  point.total_steps = total_steps_;
  point.images = step * batch_size_;
  point.held_out_loss = held_out_loss_;
  point.time = now_();
  point.waiting_share = Share(waited_, running_);
  if (steps_ > 0) {
    const double steps = static_cast<double>(steps_);
    point.loss = loss_sum_ / steps;
    const absl::Duration a_step = running_ / steps;
    point.images_per_second = Share(absl::Seconds(batch_size_), a_step);
    point.left = absl::Trunc(a_step * static_cast<double>(total_steps_ - step), absl::Seconds(1));
  }
  for (size_t i = 0; i < kLossLevels; ++i) {
    if (level_count_[i] > 0) {
      point.loss_by_level[i] = level_sum_[i] / static_cast<double>(level_count_[i]);
    }
  }
  total_running_ += running_;
  total_waited_ += waited_;
  running_ = waited_ = absl::ZeroDuration();
  loss_sum_ = 0;
  steps_ = 0;
  level_sum_ = {};
  level_count_ = {};
  return point;
}

}  // namespace diffusiond
