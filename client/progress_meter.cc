#include "client/progress_meter.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace diffusiond {
namespace {

constexpr absl::Duration kBurst = absl::Milliseconds(20);

}  // namespace

ProgressMeter::ProgressMeter(uint32_t count, uint32_t steps)
    : steps_done_(count), steps_total_(steps) {}

void ProgressMeter::Update(uint32_t image_index, uint32_t steps_done, uint32_t steps_total,
                           absl::Time now) {
  sum_ += steps_done - steps_done_[image_index];
  steps_done_[image_index] = steps_done;
  steps_total_ = steps_total;
  if (!first_update_.has_value()) first_update_ = now;
  // The images of one step batch report together; counted from its first, they would look like
  // steps done in no time.
  if (now < *first_update_ + kBurst) first_steps_ = MeanStepsDone();
  last_update_ = now;
}

double ProgressMeter::MeanStepsDone() const {
  return static_cast<double>(sum_) / static_cast<double>(steps_done_.size());
}

double ProgressMeter::fraction() const {
  return std::min(1.0, MeanStepsDone() / std::max(1u, steps_total_));
}

uint32_t ProgressMeter::steps_done() const { return static_cast<uint32_t>(MeanStepsDone()); }

std::optional<double> ProgressMeter::StepsPerSecond() const {
  if (!first_update_.has_value() || last_update_ <= *first_update_) return std::nullopt;
  const double seconds = absl::ToDoubleSeconds(last_update_ - *first_update_);
  const double steps = MeanStepsDone() - first_steps_;
  if (steps <= 0) return std::nullopt;
  return steps / seconds;
}

std::optional<absl::Duration> ProgressMeter::TimeLeft() const {
  const std::optional<double> rate = StepsPerSecond();
  if (!rate.has_value()) return std::nullopt;
  return absl::Seconds((steps_total_ - MeanStepsDone()) / *rate);
}

std::string FormatSpan(absl::Duration span) {
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(span));
  if (seconds < 9.95) return absl::StrFormat("%.1f s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return absl::StrCat(whole, " s");
  if (whole < 3600) return absl::StrCat(whole / 60, " min ", whole % 60, " s");
  return absl::StrCat(whole / 3600, " h ", whole % 3600 / 60, " min");
}

std::string FormatRate(double rate) {
  if (rate < 1) return absl::StrFormat("%.2f", rate);
  if (rate < 100) return absl::StrFormat("%.1f", rate);
  return absl::StrFormat("%.0f", rate);
}

}  // namespace diffusiond
