// Data whose best denoiser is known, and a network that can be it: a few pixels, each Gaussian, and
// an affine function of each pixel at each timestep.
#ifndef DIFFUSIOND_TESTS_MODEL_TRAINING_OBJECTIVES_GAUSSIAN_TABLE_H_
#define DIFFUSIOND_TESTS_MODEL_TRAINING_OBJECTIVES_GAUSSIAN_TABLE_H_

#include <torch/torch.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "model/training/objectives/objective.h"

namespace diffusiond {

inline constexpr int64_t kGaussianPixels = 3;
inline constexpr std::array<double, 3> kPixelMeans = {-0.4, 0.1, 0.3};
inline constexpr std::array<double, 3> kPixelDeviations = {0.1, 0.25, 0.6};

// Midpoints of `count` equal shares of N(0, 1), scaled to a variance of exactly 1: whatever depends
// on means and variances alone is exact on them.
inline torch::Tensor NormalPoints(int64_t count) {
  const torch::Tensor share =
      (torch::arange(count, torch::kFloat64) + 0.5) / static_cast<double>(count);
  const torch::Tensor points = std::sqrt(2.0) * torch::erfinv(2 * share - 1);
  return points / points.square().mean().sqrt();
}

// Every timestep with every pair of points of x_0 and eps.
inline DeviceBatch GaussianBatch(int64_t timesteps, int64_t points = 12) {
  const torch::Tensor z = NormalPoints(points);
  const int64_t pairs = points * points;
  const auto rows = [&](const torch::Tensor& of_pair) {
    return of_pair.reshape({1, pairs, 1})
        .expand({timesteps, pairs, kGaussianPixels})
        .reshape({timesteps * pairs, kGaussianPixels, 1, 1});
  };
  const auto of_pixels = [](const std::array<double, 3>& values) {
    return torch::tensor({values[0], values[1], values[2]}, torch::kFloat64).view({1, 3, 1, 1});
  };
  DeviceBatch batch;
  batch.x0 = (of_pixels(kPixelMeans) +
              of_pixels(kPixelDeviations) * rows(z.view({-1, 1}).expand({points, points})))
                 .to(torch::kFloat32);
  batch.eps = rows(z.view({1, -1}).expand({points, points})).to(torch::kFloat32).contiguous();
  batch.timesteps = torch::arange(timesteps).repeat_interleave(pairs);
  batch.levels = (batch.timesteps.to(torch::kFloat64) + 0.5) / static_cast<double>(timesteps);
  batch.labels = torch::zeros_like(batch.timesteps);
  return batch;
}

// F = slope x + offset by timestep and pixel, and, with a variance, G = constant.
struct TableNetwork {
  explicit TableNetwork(int64_t timesteps)
      : slope(Table(timesteps)), offset(Table(timesteps)), variance(Table(timesteps)) {}

  NetworkFunction Function(bool with_variance = false) const {
    return [this, with_variance](const torch::Tensor& x, const torch::Tensor& t,
                                 const torch::Tensor&) {
      const auto of = [&](const torch::Tensor& table) {
        return table.index_select(0, t).view({-1, kGaussianPixels, 1, 1});
      };
      const torch::Tensor f = of(slope) * x + of(offset);
      return with_variance ? torch::cat({f, of(variance)}, 1) : f;
    };
  }
  std::vector<torch::Tensor> parameters() const { return {slope, offset, variance}; }

  static torch::Tensor Table(int64_t timesteps) {
    return torch::zeros({timesteps, kGaussianPixels}).set_requires_grad(true);
  }

  torch::Tensor slope, offset, variance;  // [T, pixels].
};

// Minimises by Adam with a rate that falls to 0.
inline void Minimise(std::vector<torch::Tensor> parameters, int steps, double learning_rate,
                     const std::function<torch::Tensor()>& loss) {
  torch::optim::Adam optimizer(std::move(parameters), torch::optim::AdamOptions(learning_rate));
  for (int step = 0; step < steps; ++step) {
    const double rate = learning_rate * 0.5 * (1 + std::cos(M_PI * step / steps));
    static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options()).lr(rate);
    optimizer.zero_grad();
    loss().backward();
    optimizer.step();
  }
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_TRAINING_OBJECTIVES_GAUSSIAN_TABLE_H_
