// How well a network does on images that it was not trained on.
#ifndef DIFFUSIOND_MODEL_TRAINING_LOOP_HELD_OUT_LOSS_H_
#define DIFFUSIOND_MODEL_TRAINING_LOOP_HELD_OUT_LOSS_H_

#include <cstdint>

#include "model/training/data/dataset.h"
#include "model/training/objectives/objective.h"
#include "model/unet/unet.h"

namespace diffusiond {

struct HeldOutOptions {
  int64_t images = 512;  // The first of the data; all, if there are fewer.
  int64_t batch_size = 64;
  int64_t num_train_timesteps = 1000;
  uint64_t seed = 0;
};

// The mean of the objective over FillHeldOutBatch's batches: the same noise and timesteps for a
// seed every time, so that two values compare. `data` is not empty.
double HeldOutLoss(const Objective& objective, const UNet& network, const ImageDataset& data,
                   const HeldOutOptions& options);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_LOOP_HELD_OUT_LOSS_H_
