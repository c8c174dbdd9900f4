// The --model_repository flag: one directory a model.
#ifndef DIFFUSIOND_SERVER_MODEL_REPOSITORY_H_
#define DIFFUSIOND_SERVER_MODEL_REPOSITORY_H_

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace diffusiond {

// A model on disk: a checkpoint, or numbered versions of one (model/checkpoint/model_versions.h).
struct ModelDirectory {
  std::string name;  // Of the directory; what clients call the model.
  std::filesystem::path path;
  bool numbered = false;
  std::vector<int> versions = {};  // Ascending; if numbered, at least one. Else {0}.
  // The version to serve in place of the newest. Not OK: the pin cannot be read.
  absl::StatusOr<std::optional<int>> pinned = std::nullopt;

  bool Has(int version) const;
  // Of the checkpoint. Version 0 is the directory itself.
  std::filesystem::path VersionPath(int version) const;
};

inline constexpr int kMaxModels = 256;

// The models in `repository`, by name. Plain files and names that begin with a dot are passed over,
// and so are directories that only wait for their first version.
// NOT_FOUND: no such directory, or no model in it. INVALID_ARGUMENT: the repository is a checkpoint
// itself, or holds more than kMaxModels; a directory's name is no model's (IsModelName). With
// `faults`, what is wrong with one directory goes there, and the others are listed.
absl::StatusOr<std::vector<ModelDirectory>> ListModelRepository(
    const std::filesystem::path& repository, std::vector<absl::Status>* faults = nullptr);

// Changes whenever a file of the checkpoint, or its version.json, is written, replaced, added or
// removed: their sizes, times and inodes. Cheap; reads no file.
std::string CheckpointStamp(const std::filesystem::path& checkpoint);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_MODEL_REPOSITORY_H_
