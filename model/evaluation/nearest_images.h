// Is the model drawing, or remembering?
#ifndef DIFFUSIOND_MODEL_EVALUATION_NEAREST_IMAGES_H_
#define DIFFUSIOND_MODEL_EVALUATION_NEAREST_IMAGES_H_

#include <cstdint>

#include "model/imaging/image.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

struct NearestImage {
  int64_t index = 0;
  double rms = 0;  // Root mean squared difference of pixels in [-1, 1].
};

// The image of `data` nearest to `image`, which has its shape; the first of equally near ones.
NearestImage FindNearest(const ImageDataset& data, const Frame& image);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_NEAREST_IMAGES_H_
