#include "model/training/progress/progress_log.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <map>
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

// As Stamped (model/process/standard_streams.h) has it, of a file or a container's log.
std::string BeginningOfLine(absl::Time time) {
  if (isatty(STDOUT_FILENO) == 1) return "";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ INFO ", time, absl::UTCTimeZone());
}

// Whether the file ends in the middle of a line, of a process that was killed.
bool EndsInsideALine(const std::filesystem::path& path) {
  std::FILE* file = std::fopen(path.c_str(), "r");
  if (file == nullptr) return false;
  const bool inside = std::fseek(file, -1, SEEK_END) == 0 && std::fgetc(file) != '\n';
  std::fclose(file);
  return inside;
}

ProgressPoint PointFrom(const nlohmann::json& line) {
  ProgressPoint point;
  point.step = line.at("step");
  point.images = line.value("images", int64_t{0});
  point.loss = line.value("loss", 0.0);
  point.learning_rate = line.value("learning_rate", 0.0);
  point.gradient_norm = line.value("gradient_norm", 0.0);
  point.images_per_second = line.value("images_per_second", 0.0);
  point.waiting_share = line.value("waiting_share", 0.0);
  point.skipped_steps = line.value("skipped_steps", int64_t{0});
  if (line.contains("held_out_loss")) point.held_out_loss = line["held_out_loss"];
  const nlohmann::json levels = line.value("loss_by_level", nlohmann::json::array());
  for (size_t i = 0; i < kLossLevels && i < levels.size(); ++i) {
    if (levels[i].is_number()) point.loss_by_level[i] = levels[i];
  }
  absl::ParseTime(absl::RFC3339_sec, line.value("time", ""), &point.time, nullptr);
  return point;
}

}  // namespace

absl::StatusOr<std::vector<ProgressPoint>> ReadProgressLog(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot open ", path.string()));
  std::map<int64_t, ProgressPoint> by_step;
  for (std::string text; std::getline(file, text);) {
    try {
      const ProgressPoint point = PointFrom(nlohmann::json::parse(text));
      by_step[point.step] = point;
    } catch (const nlohmann::json::exception&) {
      continue;  // Cut off by a kill or a full disk.
    }
  }
  std::vector<ProgressPoint> points;
  for (const auto& [step, point] : by_step) points.push_back(point);
  return points;
}

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
  const std::string text = absl::StrFormat(
      "step %d/%d  images %d  loss %.5f  ema held-out %s  grad %.3f  lr %.2e  %.1f images/s  "
      "waiting %.1f%%  left %s\n",
      point.step, point.total_steps, point.images, point.loss,
      point.held_out_loss ? absl::StrFormat("%.5f", *point.held_out_loss) : "-",
      point.gradient_norm, point.learning_rate, point.images_per_second, 100 * point.waiting_share,
      absl::FormatDuration(point.left));
  absl::PrintF("%s%s", BeginningOfLine(point.time), text);
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
  const std::string written = line.dump() + "\n";
  if (std::fputs(written.c_str(), file_.get()) < 0 || std::fflush(file_.get()) != 0) {
    // Part of the line may be there; the next begins on its own.
    std::clearerr(file_.get());
    std::fputc('\n', file_.get());
  }
}

}  // namespace diffusiond
