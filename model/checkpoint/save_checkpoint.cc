// SaveCheckpoint of diffusers_directory.h.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/model_index_json.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/checkpoint/unet_config_json.h"
#include "model/files/durable_write.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

absl::Status WriteText(const fs::path& path, const absl::StatusOr<std::string>& text) {
  return text.ok() ? WriteNewFile(path, *text) : InFile(path, text.status());
}

absl::Status WriteWeights(const fs::path& path, const TensorMap& tensors) {
  absl::StatusOr<SafetensorsLayout> layout = LayOutSafetensors(tensors, PyTorchMetadata());
  if (!layout.ok()) return InFile(path, layout.status());
  layout->data.insert(layout->data.begin(), std::as_bytes(std::span(layout->head)));
  return WriteNewFile(path, layout->data);
}

absl::Status MakeDirectory(const fs::path& path) {
  if (mkdir(path.c_str(), 0777) == 0) return absl::OkStatus();
  return ErrnoInFile(path, "cannot create directory", errno);
}

absl::Status WriteClassifier(const fs::path& directory, const UNetConfig& config,
                             const TensorMap& tensors) {
  absl::Status status = MakeDirectory(directory);
  if (status.ok()) status = WriteWeights(directory / kSafetensorsName, tensors);
  if (!status.ok()) return status;
  status = WriteText(directory / kFlatUNetConfig, FormatUNetConfig(config));
  status.Update(SyncDirectory(directory));
  return status;
}

absl::Status WriteFiles(const fs::path& root, const CheckpointConfig& config,
                        const TensorMap& tensors, const TensorMap& classifier_tensors) {
  const fs::path unet = root / kUNetDirectory, scheduler = root / kSchedulerDirectory;
  for (const fs::path& directory : {root, unet, scheduler}) {
    RETURN_IF_ERROR(MakeDirectory(directory));
  }
  absl::Status status = WriteWeights(unet / kSafetensorsName, tensors);
  if (!status.ok()) return status;
  const ModelIndex index = {PipelineClass(config), config.scheduler.class_name, config.class_names,
                            config.null_class_id};
  status.Update(WriteText(root / kNestedUNetConfig, FormatUNetConfig(config.unet)));
  status.Update(WriteText(root / kNestedSchedulerConfig, FormatSchedulerConfig(config.scheduler)));
  status.Update(WriteText(root / kModelIndexName, FormatModelIndex(index)));
  if (config.generation) {
    status.Update(
        WriteText(root / kGenerationConfigName, FormatGenerationDefaults(*config.generation)));
  }
  if (config.classifier) {
    status.Update(
        WriteClassifier(root / kClassifierDirectory, *config.classifier, classifier_tensors));
  }
  status.Update(SyncDirectory(unet));
  status.Update(SyncDirectory(scheduler));
  return status;
}

// Gives the new directory the old one's files that are no part of a checkpoint, or refuses to
// replace what is not a checkpoint.
absl::Status CarryOver(const fs::path& from, const fs::path& to) {
  std::error_code error;
  bool has_index = false;
  std::vector<fs::path> others;
  fs::directory_iterator entries(from, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    if (name == kModelIndexName) has_index = true;
    if (IsPartOfCheckpoint(name)) continue;
    std::error_code type_error;
    if (entries->symlink_status(type_error).type() != fs::file_type::regular) {
      return InFile(from, absl::FailedPreconditionError(
                              absl::StrCat("not replaced: holds ", Quoted(name),
                                           ", which is neither part of a checkpoint nor a file")));
    }
    others.push_back(entries->path());
  }
  if (error) return ErrnoInFile(from, "cannot list", error.value());
  if (!has_index && !others.empty()) {
    return InFile(
        from, absl::FailedPreconditionError(absl::StrCat("not replaced: is not a checkpoint (no ",
                                                         kModelIndexName, ") and not empty")));
  }
  for (const fs::path& other : others) {
    // A second name for the same bytes: nothing is copied, and the old directory stays whole.
    if (link(other.c_str(), (to / other.filename()).c_str()) != 0) {
      return ErrnoInFile(other, "cannot be carried over", errno);
    }
  }
  return absl::OkStatus();
}

// SwapIn where the filesystem cannot exchange two names: between two renames there is nothing at
// `to`.
absl::Status SwapInByRenames(const fs::path& from, const fs::path& to) {
  const fs::path aside = TemporarySibling(to);
  if (rename(to.c_str(), aside.c_str()) != 0) {
    return ErrnoInFile(to, "cannot be put aside", errno);
  }
  if (rename(from.c_str(), to.c_str()) != 0) {
    absl::Status status = ErrnoInFile(to, "cannot be put in place", errno);
    if (rename(aside.c_str(), to.c_str()) == 0) return status;
    return ErrnoInFile(aside, "was replaced by nothing and cannot be put back", errno);
  }
  if (rename(aside.c_str(), from.c_str()) == 0) return absl::OkStatus();
  return ErrnoInFile(aside, "was replaced and cannot be removed", errno);
}

// Puts `from` in the place of `to`, in one step where the filesystem can; afterwards `from` is what
// `to` was, if it was there.
absl::Status SwapIn(const fs::path& from, const fs::path& to, bool exists) {
  if (!exists) {
    // Replaces nothing: rename() fails on a directory that is not empty.
    if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return ErrnoInFile(to, "cannot be put in place", errno);
  }
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    return absl::OkStatus();
  }
  if (errno == EINVAL || errno == ENOSYS) return SwapInByRenames(from, to);
  return ErrnoInFile(to, "cannot be replaced", errno);
}

}  // namespace

absl::Status SaveCheckpoint(const fs::path& directory, const CheckpointConfig& config,
                            const TensorMap& tensors, const TensorMap& classifier_tensors) {
  if (absl::Status status = Validate(config); !status.ok()) return InFile(directory, status);
  if (config.classifier.has_value() == classifier_tensors.empty()) {
    return InFile(directory, absl::InvalidArgumentError(
                                 config.classifier ? "a classifier without tensors"
                                                   : "tensors of a classifier without its config"));
  }
  const fs::path target = directory.lexically_normal();
  const fs::path temporary = TemporarySibling(target);
  // After an exchange this removes the old checkpoint, after a failure the unfinished new one. What
  // cannot be removed stays hidden beside the target.
  absl::Cleanup remove_temporary = [&temporary] {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
  };
  absl::Status status = WriteFiles(temporary, config, tensors, classifier_tensors);
  if (!status.ok()) return status;

  struct stat info;
  const bool exists = lstat(target.c_str(), &info) == 0;
  if (exists && !S_ISDIR(info.st_mode)) {
    return InFile(target, absl::FailedPreconditionError("not replaced: is not a directory"));
  }
  if (exists) status = CarryOver(target, temporary);
  if (status.ok()) status = SyncDirectory(temporary);
  if (status.ok()) status = SwapIn(temporary, target, exists);
  if (!status.ok()) return status;
  return SyncDirectory(ParentDirectory(target));
}

}  // namespace diffusiond
