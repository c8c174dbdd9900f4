// Images kept from training, to measure on.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_HOLD_OUT_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_HOLD_OUT_H_

#include <cstdint>

#include "model/training/data/dataset.h"

namespace diffusiond {

struct HeldOut {
  ImageDataset train;
  ImageDataset held_out;
};

// For data without a test split: takes `count` images, drawn by `seed`, out of `dataset`; both
// parts keep its order. Moved in, it is not copied. `count` is brought into [0, size - 1]: training
// keeps at least one image. With 0, `held_out` is empty (of no shape, with no images).
HeldOut HoldOut(ImageDataset dataset, int64_t count, uint64_t seed);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_HOLD_OUT_H_
