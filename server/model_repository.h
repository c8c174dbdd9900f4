// The --model_repository flag: one directory a model.
#ifndef DIFFUSIOND_SERVER_MODEL_REPOSITORY_H_
#define DIFFUSIOND_SERVER_MODEL_REPOSITORY_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace diffusiond {

struct ModelDirectory {
  std::string name;  // Of the directory; what clients call the model.
  std::filesystem::path path;
};

inline constexpr int kMaxModelNameLength = 64;
inline constexpr int kMaxModels = 256;

// The directories in `repository`, by name. Plain files and names that begin with a dot are passed
// over. NOT_FOUND: no such directory, or no model in it. INVALID_ARGUMENT: the repository is a
// checkpoint itself; a name is longer than kMaxModelNameLength or holds something else than
// letters, digits, '.', '_' and '-'; more than kMaxModels.
absl::StatusOr<std::vector<ModelDirectory>> ListModelRepository(
    const std::filesystem::path& repository);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_MODEL_REPOSITORY_H_
