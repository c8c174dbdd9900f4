// Progress as TensorBoard's event files: scalars, and sheets of samples.
//
// A file is a sequence of records (TFRecord):
//   8  length of the data, little-endian
//   4  masked CRC-32C of these 8 bytes
//   n  data: a protobuf message Event
//   4  masked CRC-32C of the data
// masked(c) = rotate_right(c, 15) + 0xa282ead8. The few fields of Event and Summary that are needed
// (tensorflow/core/util/event.proto, framework/summary.proto) are encoded here: that is less than
// either protobuf or TensorFlow would be, which model/ does without.
#ifndef DIFFUSIOND_MODEL_TRAINING_PROGRESS_TENSORBOARD_LOG_H_
#define DIFFUSIOND_MODEL_TRAINING_PROGRESS_TENSORBOARD_LOG_H_

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "model/training/progress/progress.h"

namespace diffusiond {

// CRC-32C (Castagnoli), as in RFC 3720.
uint32_t Crc32c(absl::string_view bytes);

// One record: the framing above around `data`.
std::string TfRecord(absl::string_view data);

// What cannot be written, as on a full disk, is lost. Thread-compatible.
class TensorBoardLog : public ProgressSink {
 public:
  // Begins a file in `directory`, which is made. `first_step`: steps done before; points after it
  // that an earlier file has, of a run that was killed, are then dropped by TensorBoard.
  static absl::StatusOr<std::unique_ptr<TensorBoardLog>> Open(
      const std::filesystem::path& directory, int64_t first_step, absl::Time now);

  void OnPoint(const ProgressPoint& point) override;
  void OnSamples(int64_t step, const Image& sheet) override;

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit TensorBoardLog(std::FILE* file) : file_(file) {}

  void Write(absl::string_view event);

  std::unique_ptr<std::FILE, CloseFile> file_;  // Null: given up.
  int64_t whole_bytes_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_PROGRESS_TENSORBOARD_LOG_H_
