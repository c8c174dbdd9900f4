#include "server/model_repository.h"

#include <algorithm>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

bool LooksLikeCheckpoint(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(directory / "model_index.json", ignored) ||
         fs::exists(directory / "unet" / "config.json", ignored) ||
         fs::exists(directory / "config.json", ignored);
}

bool IsModelName(const std::string& name) {
  return name.size() <= kMaxModelNameLength && std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' ||
                  c == '-';
         });
}

}  // namespace

absl::StatusOr<std::vector<ModelDirectory>> ListModelRepository(const fs::path& repository) {
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
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string();
    // Hidden ones are half-written checkpoints, or what Kubernetes keeps behind its volumes.
    if (name[0] == '.' || !entry.is_directory(error)) continue;
    if (!IsModelName(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("model directory ", entry.path().string(), ": a model's name is 1 .. ",
                       kMaxModelNameLength, " letters, digits, '.', '_' or '-'"));
    }
    models.push_back({name, entry.path()});
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

}  // namespace diffusiond
