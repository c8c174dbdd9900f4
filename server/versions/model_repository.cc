#include "server/versions/model_repository.h"

#include <sys/stat.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/reserved_names.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

// Nothing but what publishers leave, and what belongs to the volume: a version is on its way.
bool AwaitsItsFirstVersion(const fs::path& directory) {
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  for (size_t seen = 0; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    if (!IsPassedOver(name) && name != kPinnedVersionName) return false;
    if (++seen > kMaxModelEntries) return false;  // ListVersionFolders says so.
  }
  return !error;
}

absl::Status NoModel(const fs::path& path, const VersionFolders& folders) {
  return absl::InvalidArgumentError(absl::StrCat(
      "model directory ", path.string(), " holds no model: neither a checkpoint (", kModelIndexName,
      ", ", kNestedUNetConfig, " or ", kFlatUNetConfig, ") nor a version of one",
      folders.others.empty() ? "" : absl::StrCat("; ", NoVersions(folders.others))));
}

absl::StatusOr<ModelDirectory> ReadModelDirectory(const std::string& name, const fs::path& path) {
  if (!IsModelName(name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model directory ", (path.parent_path() / Shown(name)).string(),
        ": a model's name is 1 .. ", kMaxModelNameLength, " letters, digits, '.', '_' or '-'"));
  }
  ModelDirectory model;
  model.name = name;
  model.path = path;
  if (LooksLikeCheckpoint(path)) {
    model.versions = {0};
    return model;
  }
  ASSIGN_OR_RETURN(VersionFolders folders, ListVersionFolders(path));
  if (folders.versions.empty()) return NoModel(path, folders);
  model.numbered = true;
  model.folders = std::move(folders);
  model.versions = model.folders.Numbers();
  model.pinned = ReadPinnedVersion(path);
  return model;
}

// The directories to look into, by name.
absl::StatusOr<std::vector<std::string>> DirectoriesIn(const fs::path& repository) {
  std::error_code error;
  std::vector<std::string> names;
  fs::directory_iterator entries(repository, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::string name = entries->path().filename().string();
    std::error_code type_error;
    if (IsPassedOver(name) || !entries->is_directory(type_error)) continue;
    names.push_back(std::move(name));
  }
  if (error) {
    return absl::NotFoundError(absl::StrCat("model repository ", repository.string(),
                                            " cannot be listed: ", error.message()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

void Refuse(RepositoryListing* listing, const std::string& name, absl::Status reason) {
  if (listing->refused.size() < kMaxRefusedDirectories) {
    listing->refused.push_back({Shown(name), std::move(reason)});
  } else {
    ++listing->more_refused;
  }
}

void AddStamp(const fs::path& checkpoint, const char* file, std::vector<std::string>* stamps) {
  struct stat info;
  if (stat((checkpoint / file).c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
  stamps->push_back(absl::StrCat(file, ":", info.st_dev, ":", info.st_ino, ":", info.st_size, ":",
                                 info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec));
}

}  // namespace

bool ModelDirectory::Has(int version) const {
  return std::binary_search(versions.begin(), versions.end(), version);
}

absl::StatusOr<fs::path> ModelDirectory::VersionPath(int version) const {
  if (version == 0) return path;
  absl::StatusOr<std::string> folder = folders.NameOf(version);
  if (!folder.ok()) return InFile(path, folder.status());
  return path / *folder;
}

std::string ModelDirectory::Stamp(int version) const {
  if (!Has(version)) return "";
  if (version == 0) return CheckpointStamp(path);
  std::string stamp;
  for (const std::string& folder : folders.versions.at(version)) {
    absl::StrAppend(&stamp, stamp.empty() ? "" : "\n\n", CheckpointStamp(path / folder));
  }
  return stamp;
}

absl::StatusOr<RepositoryListing> ListModelRepository(const fs::path& repository) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, DirectoriesIn(repository));
  const bool is_checkpoint = LooksLikeCheckpoint(repository);
  RepositoryListing listing;
  for (const std::string& name : names) {
    const fs::path path = repository / name;
    if (is_checkpoint && IsPartOfCheckpoint(name)) {
      Refuse(&listing, name,
             absl::InvalidArgumentError(absl::StrCat(
                 "model directory ", path.string(),
                 " is part of a checkpoint that lies in the repository itself; give that a "
                 "directory of its own")));
      continue;
    }
    if (IsModelName(name) && AwaitsItsFirstVersion(path)) continue;
    absl::StatusOr<ModelDirectory> model = ReadModelDirectory(name, path);
    if (!model.ok()) {
      Refuse(&listing, name, model.status());
    } else if (listing.models.size() == kMaxModels) {
      Refuse(&listing, name,
             absl::ResourceExhaustedError(absl::StrCat(
                 "model directory ", path.string(), ": the repository holds more models than the ",
                 "limit of ", kMaxModels, ", and those before it by name are taken")));
    } else {
      listing.models.push_back(*std::move(model));
    }
  }
  if (is_checkpoint && listing.models.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("model repository ", repository.string(),
                     " is a checkpoint itself; give the directory that holds it"));
  }
  return listing;
}

std::string CheckpointStamp(const fs::path& checkpoint) {
  std::vector<std::string> stamps;
  for (const char* file : kCheckpointFiles) AddStamp(checkpoint, file, &stamps);
  AddStamp(checkpoint, kVersionRecordName, &stamps);
  return absl::StrJoin(stamps, "\n");
}

}  // namespace diffusiond
