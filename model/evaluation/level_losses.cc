#include "model/evaluation/level_losses.h"

#include <algorithm>
#include <cmath>

namespace diffusiond {

std::vector<LevelLoss> LossByLevel(const UNet& network, const Objective& objective,
                                   const ImageDataset& data, int64_t num_train_timesteps,
                                   int levels) {
  constexpr int64_t kBatch = 64;
  torch::NoGradGuard no_grad;
  std::vector<LevelLoss> result(static_cast<size_t>(levels));
  std::vector<double> squares(result.size());
  TrainingBatch batch;
  for (int64_t begin = 0; begin < data.size(); begin += kBatch) {
    FillHeldOutBatch(data, begin, std::min(kBatch, data.size() - begin), num_train_timesteps,
                     /*seed=*/0, &batch);
    const torch::Tensor losses = objective.LossPerImage(network, ToDevice(batch, torch::kCPU));
    for (size_t i = 0; i < batch.timesteps.size(); ++i) {
      const size_t level = static_cast<size_t>(batch.timesteps[i] * levels / num_train_timesteps);
      const double loss = losses[static_cast<int64_t>(i)].item<double>();
      result[level].loss += loss;
      squares[level] += loss * loss;
      ++result[level].images;
    }
  }
  for (size_t i = 0; i < result.size(); ++i) {
    LevelLoss& level = result[i];
    const int64_t k = static_cast<int64_t>(i);
    level.first_timestep = (k * num_train_timesteps + levels - 1) / levels;
    level.last_timestep = ((k + 1) * num_train_timesteps + levels - 1) / levels - 1;
    if (level.images == 0) continue;
    const double n = static_cast<double>(level.images);
    level.loss /= n;
    level.standard_error = std::sqrt(std::max(0.0, squares[i] / n - level.loss * level.loss) / n);
  }
  return result;
}

}  // namespace diffusiond
