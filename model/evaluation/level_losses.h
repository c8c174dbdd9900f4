// The objective by noise level: where along t a model is good.
#ifndef DIFFUSIOND_MODEL_EVALUATION_LEVEL_LOSSES_H_
#define DIFFUSIOND_MODEL_EVALUATION_LEVEL_LOSSES_H_

#include <cstdint>
#include <vector>

#include "model/diffusion/noise_schedule.h"
#include "model/training/data/dataset.h"
#include "model/training/objectives/objective.h"
#include "model/unet/unet.h"

namespace diffusiond {

struct LevelLoss {
  int64_t first_timestep = 0;  // Timesteps first .. last.
  int64_t last_timestep = 0;
  double loss = 0;  // Mean squared error of the prediction.
  double standard_error = 0;
  int64_t images = 0;
};

// Every image of `data` once, at timesteps spread over 0 .. T - 1, cut into `levels` equal ranges.
std::vector<LevelLoss> LossByLevel(const UNet& network, const Objective& objective,
                                   const ImageDataset& data, int64_t num_train_timesteps,
                                   int levels);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_LEVEL_LOSSES_H_
