// Progress as lines: for a person, and for a plotting script.
#ifndef DIFFUSIOND_MODEL_TRAINING_PROGRESS_PROGRESS_LOG_H_
#define DIFFUSIOND_MODEL_TRAINING_PROGRESS_PROGRESS_LOG_H_

#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "model/training/progress/progress.h"

namespace diffusiond {

// One line on standard output (with time and level, unless that is a terminal) and one JSON object
// in a file per point. A line that cannot be written, as on a full disk, is lost; those after it
// are whole again. A resumed run appends, so a step may occur twice: the later line counts.
// Thread-compatible.
class ProgressLog : public ProgressSink {
 public:
  // Appends to `path`.
  static absl::StatusOr<std::unique_ptr<ProgressLog>> Open(const std::filesystem::path& path);

  void OnPoint(const ProgressPoint& point) override;

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit ProgressLog(std::FILE* file) : file_(file) {}

  std::unique_ptr<std::FILE, CloseFile> file_;
};

// The points of such a file, by step; of those of one step, the last. Lines that are not whole are
// left out; what a line does not say is 0. NOT_FOUND: no such file.
absl::StatusOr<std::vector<ProgressPoint>> ReadProgressLog(const std::filesystem::path& path);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_PROGRESS_PROGRESS_LOG_H_
