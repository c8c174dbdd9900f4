// Folders of pictures.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_IMAGE_FOLDER_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_IMAGE_FOLDER_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/training/data/left_out.h"

namespace diffusiond {

// Which images a data set consists of, in order.
struct ImageList {
  std::filesystem::path folder;              // Names in messages are relative to it.
  std::vector<std::filesystem::path> files;  // Never empty.
  std::vector<int32_t> labels;               // One a file, or empty: unlabelled.
  std::vector<std::string> class_names;      // May be empty although there are labels.
  std::vector<LeftOut> left_out = {};        // Images in the folder that are none of these.
  bool numbered_by_name = false;             // As ImageDataset's.
};

// Whether `path` is a picture, of whatever format and readable or not: what its name ends with says
// so, or else its first bytes do. What is none is passed over without a word.
bool IsPicture(const std::filesystem::path& path);

// The pictures right in `folder` (unlabelled), or those in its sub-folders, each a class: labels
// follow the sub-folders' order. Names are sorted by bytes, classes first. InvalidArgument, naming
// the folder, if there are no pictures, pictures both beside and inside sub-folders, a class
// without pictures, or a folder inside a class.
absl::StatusOr<ImageList> ListImageFolder(const std::filesystem::path& folder);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_IMAGE_FOLDER_H_
