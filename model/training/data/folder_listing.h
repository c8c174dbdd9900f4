// What a folder holds, in an order that does not depend on the file system.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_FOLDER_LISTING_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_FOLDER_LISTING_H_

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace diffusiond {

// Names, not paths, sorted by bytes (as LC_ALL=C does). Symbolic links are followed. Names that
// begin with a dot are left out, and so is what is neither a file nor a folder.
struct FolderListing {
  std::vector<std::string> files;
  std::vector<std::string> folders;

  bool HasFile(std::string_view name) const;
};

// NotFound, or another error of the system, naming the folder.
absl::StatusOr<FolderListing> ListFolder(const std::filesystem::path& folder);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_FOLDER_LISTING_H_
