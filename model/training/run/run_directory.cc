#include "model/training/run/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "model/files/durable_write.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

constexpr char kStates[] = "states";
constexpr char kWhole[] = ".safetensors";
constexpr char kDamaged[] = ".damaged";

absl::StatusOr<std::vector<fs::path>> Entries(const fs::path& directory) {
  std::vector<fs::path> paths;
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    paths.push_back(entries->path());
  }
  if (error) return ErrnoInFile(directory, "cannot list", error.value());
  return paths;
}

// Names that TemporarySibling gave, of a process that was killed: the lock says that it is gone.
absl::Status RemoveUnfinished(const fs::path& directory) {
  ASSIGN_OR_RETURN(std::vector<fs::path> entries, Entries(directory));
  for (const fs::path& entry : entries) {
    const std::string name = entry.filename().string();
    if (name[0] != '.' || !absl::StrContains(name, ".tmp-")) continue;
    std::error_code error;
    fs::remove_all(entry, error);
    if (error) return ErrnoInFile(entry, "cannot remove", error.value());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunDirectory>> RunDirectory::Open(const fs::path& path) {
  for (const fs::path& part : {path, path / kStates, path / "samples"}) {
    std::error_code error;
    fs::create_directories(part, error);
    if (error) return ErrnoInFile(part, "cannot create directory", error.value());
  }
  const fs::path lock_path = path / "lock";
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock < 0) return ErrnoInFile(lock_path, "cannot open", errno);
  std::unique_ptr<RunDirectory> directory(new RunDirectory(path, lock));
  // A filesystem without locks (ENOLCK, EOPNOTSUPP) is used without.
  if (flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return InFile(path, absl::FailedPreconditionError("another process trains into it"));
  }
  for (const fs::path& part : {path, path / kStates, path / "samples"}) {
    RETURN_IF_ERROR(RemoveUnfinished(part));
  }
  return directory;
}

RunDirectory::~RunDirectory() { close(lock_); }

fs::path RunDirectory::StatePath(int64_t step) const {
  return path_ / kStates / absl::StrFormat("step-%09d%s", step, kWhole);
}

absl::StatusOr<std::vector<SavedState>> RunDirectory::States() const {
  return StatesEndingIn(kWhole);
}

absl::StatusOr<std::vector<SavedState>> RunDirectory::DamagedStates() const {
  return StatesEndingIn(absl::StrCat(kWhole, kDamaged));
}

absl::StatusOr<std::vector<SavedState>> RunDirectory::StatesEndingIn(
    absl::string_view ending) const {
  ASSIGN_OR_RETURN(std::vector<fs::path> entries, Entries(path_ / kStates));
  std::vector<SavedState> states;
  for (const fs::path& entry : entries) {
    const std::string name = entry.filename().string();
    absl::string_view number = name;
    SavedState state;
    state.path = entry;
    if (absl::ConsumePrefix(&number, "step-") && absl::ConsumeSuffix(&number, ending) &&
        absl::SimpleAtoi(number, &state.step) && state.step >= 0) {
      states.push_back(std::move(state));
    }
  }
  std::sort(states.begin(), states.end(),
            [](const SavedState& a, const SavedState& b) { return a.step > b.step; });
  return states;
}

absl::Status RunDirectory::KeepNewest(int64_t count) const {
  ASSIGN_OR_RETURN(std::vector<SavedState> states, States());
  for (size_t i = static_cast<size_t>(count); i < states.size(); ++i) {
    const fs::path& path = states[i].path;
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
      return ErrnoInFile(path, "cannot remove", errno);
    }
  }
  return absl::OkStatus();
}

absl::Status RunDirectory::SetAside(const SavedState& state) const {
  fs::path aside = state.path;
  aside += kDamaged;
  if (rename(state.path.c_str(), aside.c_str()) != 0) {
    return ErrnoInFile(state.path, "cannot rename", errno);
  }
  return SyncDirectory(path_ / kStates);
}

}  // namespace diffusiond
