#include "model/training/data/folder_listing.h"

#include <algorithm>
#include <system_error>

#include "model/files/file_status.h"

namespace diffusiond {

bool FolderListing::HasFile(std::string_view name) const {
  return std::binary_search(files.begin(), files.end(), name);
}

absl::StatusOr<FolderListing> ListFolder(const std::filesystem::path& folder) {
  FolderListing listing;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code ignored;  // A dangling link is neither.
    if (entry->is_regular_file(ignored)) {
      listing.files.push_back(std::move(name));
    } else if (entry->is_directory(ignored)) {
      listing.folders.push_back(std::move(name));
    }
  }
  if (error) return ErrnoInFile(folder, "cannot list the folder", error.value());
  std::sort(listing.files.begin(), listing.files.end());
  std::sort(listing.folders.begin(), listing.folders.end());
  return listing;
}

}  // namespace diffusiond
