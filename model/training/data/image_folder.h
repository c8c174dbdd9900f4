// Folders of PNG and JPEG files.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_IMAGE_FOLDER_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_IMAGE_FOLDER_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

// Which images a data set consists of, in order.
struct ImageList {
  std::vector<std::filesystem::path> files;  // Never empty.
  std::vector<int32_t> labels;               // One a file, or empty: unlabelled.
  std::vector<std::string> class_names;      // May be empty although there are labels.
};

// The images right in `folder` (unlabelled), or those in its sub-folders, each a class: labels
// follow the sub-folders' order. Names are sorted by bytes, classes first. An image is a file whose
// name ends with .png, .jpg, .jpeg or .webp, in either case; other files are passed over.
// InvalidArgument, naming the folder, if there are no images, images both beside and inside
// sub-folders, a class without images, or a folder inside a class.
absl::StatusOr<ImageList> ListImageFolder(const std::filesystem::path& folder);

// Decodes them all. Grey images among RGB ones become RGB; all must have one size. class_names is
// `list`'s; digest is left empty. InvalidArgument, naming the file, for what cannot be decoded or
// differs in size; ResourceExhausted past `max_bytes`.
absl::StatusOr<ImageDataset> ReadImages(const ImageList& list,
                                        int64_t max_bytes = kMaxDatasetBytes);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_IMAGE_FOLDER_H_
