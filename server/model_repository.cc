#include "server/model_repository.h"

#include <sys/stat.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/model_versions.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

// Nothing but what publishers leave: a version is on its way.
bool AwaitsItsFirstVersion(const fs::path& directory) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name[0] != '.' && name != kPinnedVersionName) return false;
  }
  return !error;
}

absl::StatusOr<ModelDirectory> ReadModelDirectory(std::string name, const fs::path& path) {
  if (!IsModelName(name)) {
    return absl::InvalidArgumentError(absl::StrCat("model directory ", path.string(),
                                                   ": a model's name is 1 .. ", kMaxModelNameLength,
                                                   " letters, digits, '.', '_' or '-'"));
  }
  ModelDirectory model;
  model.name = std::move(name);
  model.path = path;
  if (!LooksLikeCheckpoint(path)) {
    absl::StatusOr<std::vector<int>> versions = ListVersions(path);
    if (!versions.ok()) return versions.status();
    model.versions = *std::move(versions);
    model.numbered = !model.versions.empty();
  }
  if (model.numbered) {
    model.pinned = ReadPinnedVersion(path);
  } else {
    model.versions = {0};
  }
  return model;
}

void AddStamp(const fs::path& path, std::vector<std::string>* stamps) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
  stamps->push_back(absl::StrCat(path.filename().string(), ":", info.st_dev, ":", info.st_ino, ":",
                                 info.st_size, ":", info.st_mtim.tv_sec, ".",
                                 info.st_mtim.tv_nsec));
}

}  // namespace

bool ModelDirectory::Has(int version) const {
  return std::binary_search(versions.begin(), versions.end(), version);
}

fs::path ModelDirectory::VersionPath(int version) const {
  return version == 0 ? path : path / absl::StrCat(version);
}

absl::StatusOr<std::vector<ModelDirectory>> ListModelRepository(const fs::path& repository,
                                                                std::vector<absl::Status>* faults) {
  std::error_code error;
  fs::directory_iterator entries(repository, error);
  if (error) {
    return absl::NotFoundError(absl::StrCat("model repository ", repository.string(),
                                            " cannot be listed: ", error.message()));
  }
  if (LooksLikeCheckpoint(repository)) {
    return absl::InvalidArgumentError(
        absl::StrCat("model repository ", repository.string(),
                     " is a checkpoint itself; give the directory that holds it"));
  }
  std::vector<ModelDirectory> models;
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    // Hidden ones are half-written checkpoints, or what Kubernetes keeps behind its volumes.
    std::error_code type_error;
    if (name[0] == '.' || !entries->is_directory(type_error)) continue;
    if (IsModelName(name) && AwaitsItsFirstVersion(entries->path())) continue;
    absl::StatusOr<ModelDirectory> model = ReadModelDirectory(name, entries->path());
    if (model.ok()) {
      models.push_back(*std::move(model));
    } else if (faults != nullptr) {
      faults->push_back(model.status());
    } else {
      return model.status();
    }
  }
  if (models.empty()) {
    return absl::NotFoundError(absl::StrCat("model repository ", repository.string(),
                                            " holds no model: one directory each is expected"));
  }
  if (models.size() > kMaxModels) {
    return absl::InvalidArgumentError(absl::StrCat("model repository ", repository.string(),
                                                   " holds ", models.size(),
                                                   " models, more than the limit of ", kMaxModels));
  }
  std::sort(models.begin(), models.end(),
            [](const ModelDirectory& a, const ModelDirectory& b) { return a.name < b.name; });
  return models;
}

std::string CheckpointStamp(const fs::path& checkpoint) {
  std::vector<std::string> stamps;
  std::error_code error;
  fs::recursive_directory_iterator entry(checkpoint, fs::directory_options::skip_permission_denied,
                                         error);
  // A directory that goes away meanwhile ends it: the stamp is then of what was seen, and another
  // next time.
  for (; !error && entry != fs::end(entry); entry.increment(error)) {
    const fs::path& path = entry->path();
    const std::string part = path.lexically_relative(checkpoint).begin()->string();
    if (IsPartOfCheckpoint(part) || part == kVersionRecordName) AddStamp(path, &stamps);
  }
  std::sort(stamps.begin(), stamps.end());
  return absl::StrJoin(stamps, "\n");
}

}  // namespace diffusiond
