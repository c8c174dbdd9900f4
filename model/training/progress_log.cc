#include "model/training/progress_log.h"

#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace diffusiond {
namespace {

nlohmann::json LevelsJson(const ProgressPoint& point) {
  nlohmann::json levels = nlohmann::json::array();
  for (const std::optional<double>& loss : point.loss_by_level) {
    levels.push_back(loss ? nlohmann::json(*loss) : nlohmann::json(nullptr));
  }
  return levels;
}

// Whether the file ends in the middle of a line, of a process that was killed.
bool EndsInsideALine(const std::filesystem::path& path) {
  std::FILE* file = std::fopen(path.c_str(), "r");
  if (file == nullptr) return false;
  const bool inside = std::fseek(file, -1, SEEK_END) == 0 && std::fgetc(file) != '\n';
  std::fclose(file);
  return inside;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProgressLog>> ProgressLog::Open(const std::filesystem::path& path) {
  const bool inside = EndsInsideALine(path);
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path.string()));
  }
  if (inside) std::fputc('\n', file);
  return std::unique_ptr<ProgressLog>(new ProgressLog(file));
}

void ProgressLog::OnPoint(const ProgressPoint& point) {
  absl::PrintF(
      "step %d/%d  images %d  loss %.5f  ema held-out %s  grad %.3f  lr %.2e  %.1f images/s  "
      "waiting %.1f%%  left %s\n",
      point.step, point.total_steps, point.images, point.loss,
      point.held_out_loss ? absl::StrFormat("%.5f", *point.held_out_loss) : "-",
      point.gradient_norm, point.learning_rate, point.images_per_second, 100 * point.waiting_share,
      absl::FormatDuration(point.left));
  std::fflush(stdout);

  nlohmann::json line = {
      {"step", point.step},
      {"images", point.images},
      {"loss", point.loss},
      {"loss_by_level", LevelsJson(point)},
      {"learning_rate", point.learning_rate},
      {"gradient_norm", point.gradient_norm},
      {"images_per_second", point.images_per_second},
      {"waiting_share", point.waiting_share},
      {"skipped_steps", point.skipped_steps},
      {"time", absl::FormatTime(absl::RFC3339_sec, point.time, absl::UTCTimeZone())}};
  if (point.held_out_loss) line["held_out_loss"] = *point.held_out_loss;
  const std::string text = line.dump() + "\n";
  if (std::fputs(text.c_str(), file_.get()) < 0 || std::fflush(file_.get()) != 0) {
    // Part of the line may be there; the next begins on its own.
    std::clearerr(file_.get());
    std::fputc('\n', file_.get());
  }
}

}  // namespace diffusiond
