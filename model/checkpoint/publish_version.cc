#include "model/checkpoint/publish_version.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/default_sampling.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/model_card.h"
#include "model/checkpoint/model_versions.h"
#include "model/checkpoint/tensor_view.h"
#include "model/files/durable_write.h"
#include "model/files/file_status.h"
#include "model/files/mapped_file.h"
#include "model/process/printable_text.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

constexpr char kLockName[] = ".publish.lock";
constexpr int kLeastKept = 2;

// TemporarySibling's names for these: ".version.tmp-...", and SaveCheckpoint's for that.
constexpr char kUnpublished[] = "version";
constexpr char kRemoved[] = "removed";

bool IsLeftOver(const std::string& name) {
  return absl::StartsWith(name, absl::StrCat(".", kUnpublished, ".tmp-")) ||
         absl::StartsWith(name, absl::StrCat("..", kUnpublished, ".tmp-")) ||
         absl::StartsWith(name, absl::StrCat(".", kRemoved, ".tmp-"));
}

// Holds a model's lock until it is destroyed, or the process ends.
class PublisherLock {
 public:
  explicit PublisherLock(const fs::path& model_directory) {
    fd_ = open((model_directory / kLockName).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0) return;
    int result;
    do {
      result = flock(fd_, LOCK_EX);
    } while (result != 0 && errno == EINTR);
    held_ = result == 0;
  }
  ~PublisherLock() {
    if (fd_ >= 0) close(fd_);
  }
  PublisherLock(const PublisherLock&) = delete;
  PublisherLock& operator=(const PublisherLock&) = delete;

  // False: the filesystem knows no locks. Numbers are still taken by rename, once each.
  bool held() const { return held_; }

 private:
  int fd_ = -1;
  bool held_ = false;
};

absl::Status CheckFinite(const NetworkWeights& weights) {
  for (const auto& [name, tensor] : weights.tensors) {
    if (!IsFloatingPoint(tensor.dtype)) continue;
    if (const std::optional<int64_t> index = FindNonFinite(tensor)) {
      return InFile(weights.path, absl::InvalidArgumentError(
                                      absl::StrCat("not published: element ", *index, " of ",
                                                   Quoted(name), " is NaN or infinite")));
    }
  }
  return absl::OkStatus();
}

absl::Status MakeDirectories(const fs::path& directory) {
  std::error_code error;
  if (fs::create_directories(directory, error)) return SyncDirectory(ParentDirectory(directory));
  if (!error && fs::is_directory(directory, error)) return absl::OkStatus();
  return ErrnoInFile(directory, "cannot create directory", error ? error.value() : ENOTDIR);
}

void RemoveLeftOvers(const fs::path& model_directory) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(model_directory, ignored)) {
    if (IsLeftOver(entry.path().filename().string())) fs::remove_all(entry.path(), ignored);
  }
}

// The version that is this checkpoint, with the same defaults, if the newest is.
bool IsNewest(const fs::path& model_directory, const std::vector<int>& versions,
              const Checkpoint& source) {
  if (versions.empty()) return false;
  const absl::StatusOr<fs::path> directory = FindVersion(model_directory, versions.back());
  if (!directory.ok()) return false;
  const absl::StatusOr<Checkpoint> newest = Checkpoint::Open(*directory);
  return newest.ok() && newest->digest() == source.digest() && newest->config() == source.config();
}

// Model card, pictures and what else lies beside the checkpoint.
absl::Status CopyOtherFiles(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::directory_iterator entries(from, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    std::error_code type_error;
    if (name[0] == '.' || name == kVersionRecordName || IsPartOfCheckpoint(name) ||
        !entries->is_regular_file(type_error)) {
      continue;
    }
    ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(entries->path()));
    RETURN_IF_ERROR(WriteNewFile(to / name, file.text()));
  }
  if (error) return ErrnoInFile(from, "cannot list", error.value());
  return absl::OkStatus();
}

absl::Status Fill(const fs::path& directory, const fs::path& source, const Checkpoint& checkpoint,
                  const DefaultSampling& defaults, const PublishOptions& options) {
  absl::Status status = SaveCheckpoint(directory, checkpoint.config(), checkpoint.tensors(),
                                       checkpoint.classifier_tensors());
  if (status.ok()) status = CopyOtherFiles(source, directory);
  if (!status.ok()) return status;
  std::error_code ignored;
  if (!fs::exists(directory / kModelCardName, ignored)) {
    status = WriteNewFile(directory / kModelCardName,
                          MakeModelCard(options.name, checkpoint, defaults, options.training));
    if (!status.ok()) return status;
  }
  ASSIGN_OR_RETURN(
      const std::string record,
      FormatVersionRecord({checkpoint.digest(),
                           absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone())}));
  status = WriteNewFile(directory / kVersionRecordName, record);
  if (status.ok()) status = SyncDirectory(directory);
  if (!status.ok()) return status;

  ASSIGN_OR_RETURN(const Checkpoint written, Checkpoint::Open(directory));
  if (written.digest() == checkpoint.digest()) return absl::OkStatus();
  return InFile(directory, absl::DataLossError(absl::StrCat(
                               "not published: was written with digest ", checkpoint.digest(),
                               " and read back with ", written.digest())));
}

// Renames to the first number from `version` on that is free.
absl::StatusOr<int> TakeNumber(const fs::path& unpublished, const fs::path& model_directory,
                               int version) {
  for (; version <= kMaxModelVersion; ++version) {
    const fs::path target = model_directory / absl::StrCat(version);
    if (std::rename(unpublished.c_str(), target.c_str()) == 0) return version;
    if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) {
      return ErrnoInFile(target, "cannot be put in place", errno);
    }
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      model_directory.string(), ": has no version number left, the last is ", kMaxModelVersion));
}

// Hides a directory at once, and removes it; what cannot be removed stays hidden. False: it stays.
bool Remove(const fs::path& directory) {
  const fs::path hidden = TemporarySibling(directory.parent_path() / kRemoved);
  if (std::rename(directory.c_str(), hidden.c_str()) != 0) return false;
  std::error_code ignored;
  fs::remove_all(hidden, ignored);
  return true;
}

// Removes what is past the limit.
std::vector<int> Prune(const fs::path& model_directory, int keep) {
  std::vector<int> removed;
  const absl::StatusOr<VersionFolders> folders = ListVersionFolders(model_directory);
  const absl::StatusOr<std::optional<int>> pinned = ReadPinnedVersion(model_directory);
  if (keep == 0 || !folders.ok() || !pinned.ok()) return removed;
  size_t past = folders->versions.size() - std::min(folders->versions.size(), size_t(keep));
  for (const auto& [version, names] : folders->versions) {
    if (past-- == 0) break;
    if (version == *pinned) continue;
    bool all = true;
    for (const std::string& name : names) all = Remove(model_directory / name) && all;
    if (all) removed.push_back(version);
  }
  return removed;
}

}  // namespace

absl::Status CheckPublishOptions(const PublishOptions& options) {
  if (const absl::Status name = CheckModelName(options.name); !name.ok()) {
    return absl::Status(name.code(), absl::StrCat(name.message(), "; --publish_name says another"));
  }
  if (options.keep == 0 || (options.keep >= kLeastKept && options.keep <= kMaxModelVersion)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("--keep_published_versions is ", options.keep,
                                                 ", expected 0 (all) or ", kLeastKept, " .. ",
                                                 kMaxModelVersion));
}

std::string Describe(const PublishedVersion& published) {
  std::string text =
      absl::StrCat(published.already_there ? "already published as " : "published as ",
                   published.directory.string(), ", digest ", published.digest, "\n");
  for (const std::string& warning : published.warnings) {
    absl::StrAppend(&text, "warning: ", Printable(warning), "\n");
  }
  for (const int version : published.removed) {
    absl::StrAppend(&text, "removed version ", version, " of ",
                    published.directory.parent_path().string(),
                    ", past the limit of published versions\n");
  }
  return text;
}

absl::StatusOr<PublishedVersion> PublishVersion(const fs::path& repository, const fs::path& source,
                                                const PublishOptions& options) {
  RETURN_IF_ERROR(CheckPublishOptions(options));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(source));
  RETURN_IF_ERROR(CheckFinite(checkpoint.weights()));
  if (checkpoint.classifier_weights()) {
    RETURN_IF_ERROR(CheckFinite(*checkpoint.classifier_weights()));
  }

  const absl::StatusOr<DefaultSampling> defaults = ResolveDefaultSampling(checkpoint.config());
  if (!defaults.ok()) return InFile(source, defaults.status());
  if (options.judge) {
    if (absl::Status status = options.judge(checkpoint); !status.ok()) {
      return InFile(source,
                    absl::Status(status.code(), absl::StrCat("not published: ", status.message())));
    }
  }

  const fs::path model_directory = repository / options.name;
  RETURN_IF_ERROR(MakeDirectories(model_directory));
  if (LooksLikeCheckpoint(model_directory)) {
    return InFile(model_directory,
                  absl::FailedPreconditionError(
                      "is a checkpoint itself; make it version 1 (move it into a directory of its "
                      "name), or publish under another name"));
  }
  const PublisherLock lock(model_directory);
  if (lock.held()) RemoveLeftOvers(model_directory);
  ASSIGN_OR_RETURN(const std::vector<int> versions, ListVersions(model_directory));

  PublishedVersion published;
  published.digest = checkpoint.digest();
  published.warnings = checkpoint.warnings();
  published.warnings.insert(published.warnings.end(), defaults->warnings.begin(),
                            defaults->warnings.end());
  if (IsNewest(model_directory, versions, checkpoint)) {
    published.version = versions.back();
    published.already_there = true;
  } else {
    const fs::path unpublished = TemporarySibling(model_directory / kUnpublished);
    absl::Cleanup remove_unpublished = [&unpublished] {
      std::error_code ignored;
      fs::remove_all(unpublished, ignored);
    };
    RETURN_IF_ERROR(Fill(unpublished, source, checkpoint, *defaults, options));
    ASSIGN_OR_RETURN(const int version, TakeNumber(unpublished, model_directory,
                                                   versions.empty() ? 1 : versions.back() + 1));
    RETURN_IF_ERROR(SyncDirectory(model_directory));
    published.version = version;
  }
  const absl::StatusOr<fs::path> directory = FindVersion(model_directory, published.version);
  published.directory = directory.value_or(model_directory / absl::StrCat(published.version));
  published.removed = Prune(model_directory, options.keep);
  return published;
}

}  // namespace diffusiond
