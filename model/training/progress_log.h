// Progress as lines: for a person, and for a plotting script.
#ifndef DIFFUSIOND_MODEL_TRAINING_PROGRESS_LOG_H_
#define DIFFUSIOND_MODEL_TRAINING_PROGRESS_LOG_H_

#include <cstdio>
#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "model/training/progress.h"

namespace diffusiond {

// One line on standard output and one JSON object in a file per point. A line that cannot be
// written, as on a full disk, is lost; those after it are whole again. A resumed run appends, so a
// step may occur twice: the later line counts. Thread-compatible.
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

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_PROGRESS_LOG_H_
