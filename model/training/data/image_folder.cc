#include "model/training/data/image_folder.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "model/files/file_status.h"
#include "model/imaging/decode.h"
#include "model/status/status_macros.h"
#include "model/training/data/folder_listing.h"

namespace diffusiond {
namespace {

std::vector<std::filesystem::path> ImagesOf(const std::filesystem::path& folder,
                                            const FolderListing& listing) {
  std::vector<std::filesystem::path> images;
  for (const std::string& name : listing.files) {
    if (IsPicture(folder / name)) images.push_back(folder / name);
  }
  return images;
}

absl::Status Refuse(const std::filesystem::path& path, const std::string& why) {
  return InFile(path, absl::InvalidArgumentError(why));
}

}  // namespace

bool IsPicture(const std::filesystem::path& path) {
  constexpr std::string_view kExtensions[] = {".png",  ".jpg", ".jpeg", ".jpe",  ".jfif", ".webp",
                                              ".bmp",  ".gif", ".tif",  ".tiff", ".heic", ".heif",
                                              ".avif", ".jxl", ".jp2",  ".ppm",  ".pgm",  ".pbm"};
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  if (std::find(std::begin(kExtensions), std::end(kExtensions), extension) !=
      std::end(kExtensions)) {
    return true;
  }
  std::string start(kPictureFormatBytes, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  return !PictureFormat(std::string_view(start).substr(0, static_cast<size_t>(file.gcount())))
              .empty();
}

absl::StatusOr<ImageList> ListImageFolder(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(FolderListing listing, ListFolder(folder));
  ImageList list;
  list.folder = folder;
  list.files = ImagesOf(folder, listing);
  if (!list.files.empty()) {
    if (!listing.folders.empty()) {
      return Refuse(folder,
                    absl::StrCat("images beside the sub-folder ", Quoted(listing.folders.front()),
                                 ", expected images or sub-folders of images"));
    }
    return list;
  }
  for (const std::string& name : listing.folders) {
    ASSIGN_OR_RETURN(FolderListing members, ListFolder(folder / name));
    if (!members.folders.empty()) {
      return Refuse(folder / name / members.folders.front(),
                    "a folder inside a class's folder, expected images");
    }
    const std::vector<std::filesystem::path> images = ImagesOf(folder / name, members);
    if (images.empty()) return Refuse(folder / name, "the class's folder has no images");
    list.files.insert(list.files.end(), images.begin(), images.end());
    list.labels.insert(list.labels.end(), images.size(),
                       static_cast<int32_t>(list.class_names.size()));
    list.class_names.push_back(name);
    list.numbered_by_name = true;
  }
  if (list.files.empty()) return Refuse(folder, "the folder has no images (PNG, JPEG, WebP)");
  return list;
}

}  // namespace diffusiond
