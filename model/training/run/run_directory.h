// The directory that a training run writes: who may, and which saved states are in it.
//
//   OUT/lock                      held (flock) by the process that trains
//   OUT/states/step-000000500.safetensors   all that training changes; see training_state.h
//   OUT/states/step-000000750.safetensors.damaged   was the newest, could not be read
//   OUT/checkpoint/               the newest EMA weights, as diffusiond and diffusers load them
//   OUT/samples/, OUT/log.jsonl   what a person looks at
//
// Everything is written beside its final name and renamed, so a name that is there is whole.
#ifndef DIFFUSIOND_MODEL_TRAINING_RUN_RUN_DIRECTORY_H_
#define DIFFUSIOND_MODEL_TRAINING_RUN_RUN_DIRECTORY_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

struct SavedState {
  int64_t step = 0;
  std::filesystem::path path;
};

// Thread-compatible.
class RunDirectory {
 public:
  // Makes the directory with its parts and locks it, then removes what a killed run left
  // unfinished. FAILED_PRECONDITION: another process trains into it. PERMISSION_DENIED and others:
  // it cannot be written.
  static absl::StatusOr<std::unique_ptr<RunDirectory>> Open(const std::filesystem::path& path);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path StatePath(int64_t step) const;
  std::filesystem::path checkpoint() const { return path_ / "checkpoint"; }
  std::filesystem::path samples() const { return path_ / "samples"; }
  std::filesystem::path log() const { return path_ / "log.jsonl"; }

  // Newest first; files of other names are not looked at.
  absl::StatusOr<std::vector<SavedState>> States() const;
  // Those that were set aside, also by an earlier process.
  absl::StatusOr<std::vector<SavedState>> DamagedStates() const;
  // Removes all but the newest `count`.
  absl::Status KeepNewest(int64_t count) const;
  // Takes a state that cannot be used out of States(): gives it the ending .damaged.
  absl::Status SetAside(const SavedState& state) const;

 private:
  absl::StatusOr<std::vector<SavedState>> StatesEndingIn(absl::string_view ending) const;
  RunDirectory(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}

  const std::filesystem::path path_;
  const int lock_;  // File descriptor; closing it unlocks.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_RUN_RUN_DIRECTORY_H_
