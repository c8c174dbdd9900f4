// The --model_repository flag: one directory a model.
#ifndef DIFFUSIOND_SERVER_VERSIONS_MODEL_REPOSITORY_H_
#define DIFFUSIOND_SERVER_VERSIONS_MODEL_REPOSITORY_H_

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/checkpoint/model_versions.h"

namespace diffusiond {

// A model on disk: a checkpoint, or numbered versions of one (model/checkpoint/model_versions.h).
struct ModelDirectory {
  std::string name;  // Of the directory; what clients call the model.
  std::filesystem::path path;
  bool numbered = false;
  std::vector<int> versions = {};  // Ascending; if numbered, at least one. Else {0}.
  VersionFolders folders = {};     // If numbered.
  // The version to serve in place of the newest. Not OK: the pin cannot be read.
  absl::StatusOr<std::optional<int>> pinned = std::nullopt;

  bool Has(int version) const;
  // Of the checkpoint. Version 0 is the directory itself. Errors as VersionFolders::NameOf.
  absl::StatusOr<std::filesystem::path> VersionPath(int version) const;
  // CheckpointStamp of all directories that are named like this version; empty: there is none.
  std::string Stamp(int version) const;
};

// A directory in the repository that cannot be a model.
struct RefusedDirectory {
  std::string name;  // Shown in printable ASCII: anybody's bytes may be in it.
  absl::Status reason;
};

inline constexpr size_t kMaxModels = 256;
inline constexpr size_t kMaxRefusedDirectories = 256;

// What a repository holds, each by name.
struct RepositoryListing {
  std::vector<ModelDirectory> models;
  // Neither checkpoint nor versions; a name that is no model's (IsModelName); what cannot be read;
  // models past kMaxModels.
  std::vector<RefusedDirectory> refused;
  size_t more_refused = 0;  // Past kMaxRefusedDirectories.
};

// Plain files and names that IsPassedOver are passed over, and so are directories that only wait
// for their first version. What is wrong with one directory takes nothing from the others; none at
// all is no error. Of a repository that is a checkpoint itself the parts of that are refused.
// NOT_FOUND: the directory is not there or cannot be listed. INVALID_ARGUMENT: it is a checkpoint
// itself, and holds no model beside.
absl::StatusOr<RepositoryListing> ListModelRepository(const std::filesystem::path& repository);

// Changes whenever a file of the checkpoint, or its version.json, is written, replaced, added or
// removed: their sizes, times and inodes. Asks for those files by name, so what else lies there,
// links to other trees included, costs nothing; reads no file.
std::string CheckpointStamp(const std::filesystem::path& checkpoint);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_MODEL_REPOSITORY_H_
