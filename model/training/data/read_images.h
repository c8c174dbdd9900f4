// Pictures from files to memory.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_READ_IMAGES_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_READ_IMAGES_H_

#include <cstdint>
#include <filesystem>

#include "absl/status/statusor.h"
#include "model/training/data/dataset.h"
#include "model/training/data/image_folder.h"

namespace diffusiond {

// What becomes of an image that is not square once its smaller side is the resolution.
enum class Crop {
  kNone,    // It stays so: all must have one shape.
  kCenter,  // Its middle is taken.
  kRandom   // As well, and the rest is kept: training takes a window anew each time.
};

struct ReadOptions {
  int64_t max_bytes = kMaxDatasetBytes;
  // The share, 0 .. 1, of the images found that may be left out.
  double max_left_out = 0;
  int resolution = 0;  // Of the smaller side, which ResampleSmallerSide brings to it; 0: as it is.
  Crop crop = Crop::kNone;  // Needs a resolution.
  // Where an ImageCache keeps what was resized; empty: nowhere. Needs a resolution.
  std::filesystem::path cache = {};
};

// Decodes them all, by what their bytes say, whatever their names end with. Grey images among RGB
// ones become RGB; all must have one size, as they are or once
// they are resized and cropped. What cannot be decoded is left out, and `warnings` says
// so, or that the cache cannot be written to. class_names is `list`'s; digest is left empty.
//
// Errors name up to kMostNamed of all the files that are wrong, not the first: FailedPrecondition
// if more is left out than may be, by this or already by `list`; InvalidArgument for images of
// several sizes. ResourceExhausted past `max_bytes`, as soon as that is known.
absl::StatusOr<ImageDataset> ReadImages(const ImageList& list, const ReadOptions& options = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_READ_IMAGES_H_
