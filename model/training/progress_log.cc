#include "model/training/progress_log.h"

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

namespace diffusiond {

absl::StatusOr<std::unique_ptr<ProgressLog>> ProgressLog::Open(const std::filesystem::path& path,
                                                               int64_t total_steps,
                                                               int64_t batch_size,
                                                               std::function<absl::Time()> now) {
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path.string()));
  }
  return std::unique_ptr<ProgressLog>(
      new ProgressLog(file, total_steps, batch_size, std::move(now)));
}

ProgressLog::ProgressLog(std::FILE* file, int64_t total_steps, int64_t batch_size,
                         std::function<absl::Time()> now)
    : file_(file),
      total_steps_(total_steps),
      batch_size_(batch_size),
      now_(std::move(now)),
      running_since_(now_()) {}

void ProgressLog::AddStep(double loss) {
  loss_sum_ += loss;
  ++loss_count_;
}

void ProgressLog::PauseClock() { running_ += now_() - running_since_; }

void ProgressLog::ResumeClock() { running_since_ = now_(); }

void ProgressLog::Write(ProgressPoint point) {
  PauseClock();
  ResumeClock();
  point.images = point.step * batch_size_;
  point.loss = loss_count_ == 0 ? 0 : loss_sum_ / static_cast<double>(loss_count_);
  point.held_out_loss = held_out_loss_;
  const double seconds_per_step =
      loss_count_ == 0 ? 0 : absl::ToDoubleSeconds(running_) / static_cast<double>(loss_count_);
  const double images_per_second =
      seconds_per_step > 0 ? static_cast<double>(batch_size_) / seconds_per_step : 0;
  const absl::Duration left =
      absl::Trunc(absl::Seconds(seconds_per_step * static_cast<double>(total_steps_ - point.step)),
                  absl::Seconds(1));

  const std::string held_out =
      point.held_out_loss ? absl::StrFormat("%.5f", *point.held_out_loss) : "-";
  absl::PrintF(
      "step %d/%d  images %d  loss %.5f  ema held-out %s  grad %.3f  lr %.2e  %.1f images/s  "
      "left %s\n",
      point.step, total_steps_, point.images, point.loss, held_out, point.gradient_norm,
      point.learning_rate, images_per_second, absl::FormatDuration(left));
  std::fflush(stdout);

  nlohmann::json line = {
      {"step", point.step},
      {"images", point.images},
      {"loss", point.loss},
      {"learning_rate", point.learning_rate},
      {"gradient_norm", point.gradient_norm},
      {"images_per_second", images_per_second},
      {"time", absl::FormatTime(absl::RFC3339_sec, now_(), absl::UTCTimeZone())}};
  if (point.held_out_loss) line["held_out_loss"] = *point.held_out_loss;
  std::fputs((line.dump() + "\n").c_str(), file_.get());
  std::fflush(file_.get());

  running_ = absl::ZeroDuration();
  loss_sum_ = 0;
  loss_count_ = 0;
}

}  // namespace diffusiond
