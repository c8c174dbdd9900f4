#include "model/training/loop/held_out_loss.h"

#include <algorithm>

namespace diffusiond {

double HeldOutLoss(const Objective& objective, const UNet& network, const ImageDataset& data,
                   const HeldOutOptions& options) {
  torch::NoGradGuard no_grad;
  const int64_t count = std::min(options.images, data.size());
  const torch::Device device = network.parameters().front().device();
  double sum = 0;
  TrainingBatch batch;
  for (int64_t begin = 0; begin < count; begin += options.batch_size) {
    FillHeldOutBatch(data, begin, std::min(options.batch_size, count - begin),
                     options.num_train_timesteps, options.seed, &batch);
    sum += objective.LossPerImage(network, ToDevice(batch, device)).sum().item<double>();
  }
  return sum / static_cast<double>(count);
}

}  // namespace diffusiond
