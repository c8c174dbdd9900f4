// What the network is trained to do: L_simple, and the targets it can be stated in.
#ifndef DIFFUSIOND_MODEL_TRAINING_OBJECTIVE_H_
#define DIFFUSIOND_MODEL_TRAINING_OBJECTIVE_H_

#include <torch/torch.h>

#include "model/diffusion/noise_schedule.h"
#include "model/training/batch_source.h"
#include "model/unet/unet.h"

namespace diffusiond {

// DDPM's objective (Ho et al. 2020, equation 14): the network sees
// x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps and t, and predicts eps, x_0,
// v = sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x_0 or the score, -eps / sqrt(1 - alpha_bar_t).
// Immutable.
class Objective {
 public:
  Objective(const NoiseSchedule& schedule, PredictionType prediction, torch::Device device);

  // Mean squared error over the pixels of each image -> [B], differentiable; the score's times
  // 1 - alpha_bar_t, so that it is epsilon's (Song et al. 2021, equation 7).
  torch::Tensor LossPerImage(const UNet& network, const TrainingBatch& batch) const;

 private:
  PredictionType prediction_;
  torch::Device device_;
  torch::Tensor signal_, noise_;  // [T]: sqrt(alpha_bar), sqrt(1 - alpha_bar).
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OBJECTIVE_H_
