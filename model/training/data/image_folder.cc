#include "model/training/data/image_folder.h"

#include <cstddef>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "model/files/file_status.h"
#include "model/files/mapped_file.h"
#include "model/imaging/decode.h"
#include "model/status/status_macros.h"
#include "model/training/data/file_text.h"
#include "model/training/data/folder_listing.h"

namespace diffusiond {
namespace {

bool IsImageName(const std::string& name) {
  const std::string extension =
      absl::AsciiStrToLower(std::filesystem::path(name).extension().string());
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".webp";
}

std::vector<std::filesystem::path> ImagesOf(const std::filesystem::path& folder,
                                            const FolderListing& listing) {
  std::vector<std::filesystem::path> images;
  for (const std::string& name : listing.files) {
    if (IsImageName(name)) images.push_back(folder / name);
  }
  return images;
}

absl::Status Refuse(const std::filesystem::path& path, const std::string& why) {
  return InFile(path, absl::InvalidArgumentError(why));
}

// Grey and colour in one data set: every grey image becomes RGB.
void ExpandToRgb(ImageDataset* dataset) {
  std::vector<uint8_t> rgb;
  rgb.reserve(dataset->pixels.capacity() * 3);
  const size_t plane = dataset->image_bytes();
  for (size_t start = 0; start < dataset->pixels.size(); start += plane) {
    for (int channel = 0; channel < 3; ++channel) {
      rgb.insert(rgb.end(), dataset->pixels.begin() + start,
                 dataset->pixels.begin() + start + plane);
    }
  }
  dataset->pixels = std::move(rgb);
  dataset->channels = 3;
}

void AppendPlanes(const Image& image, ImageDataset* dataset) {
  const size_t plane = size_t(image.width) * image.height;
  for (int channel = 0; channel < dataset->channels; ++channel) {
    const uint8_t* from = image.pixels.data() + (image.channels == 1 ? 0 : channel);
    for (size_t i = 0; i < plane; ++i) dataset->pixels.push_back(from[i * image.channels]);
  }
}

absl::Status Append(const Image& image, size_t count, int64_t max_bytes, ImageDataset* dataset) {
  const bool first = dataset->pixels.empty();
  if (first) {
    dataset->channels = image.channels;
    dataset->height = image.height;
    dataset->width = image.width;
  } else if (image.width != dataset->width || image.height != dataset->height) {
    return absl::InvalidArgumentError(absl::StrCat("image is ", image.width, " x ", image.height,
                                                   ", those before it are ", dataset->width, " x ",
                                                   dataset->height));
  }
  const bool turns_rgb = image.channels > dataset->channels;
  if (first || turns_rgb) {
    RETURN_IF_ERROR(CheckDatasetBytes(count, image.channels, image.height, image.width, max_bytes));
  }
  if (first) dataset->pixels.reserve(count * dataset->image_bytes());
  if (turns_rgb) ExpandToRgb(dataset);
  AppendPlanes(image, dataset);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageList> ListImageFolder(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(FolderListing listing, ListFolder(folder));
  ImageList list;
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
  }
  if (list.files.empty()) return Refuse(folder, "the folder has no images (.png, .jpg, .webp)");
  return list;
}

absl::StatusOr<ImageDataset> ReadImages(const ImageList& list, int64_t max_bytes) {
  ImageDataset dataset;
  for (const std::filesystem::path& path : list.files) {
    ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
    absl::StatusOr<Image> image = DecodeImage(TextOf(file));
    if (!image.ok()) return InFile(path, image.status());
    if (absl::Status status = Append(*image, list.files.size(), max_bytes, &dataset);
        !status.ok()) {
      return InFile(path, status);
    }
  }
  dataset.labels = list.labels;
  dataset.class_names = list.class_names;
  return dataset;
}

}  // namespace diffusiond
