#include "model/evaluation/unet_vjp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "model/evaluation/unet_lanes.h"
#include "model/sampling/row_noise.h"

namespace diffusiond {
namespace {

TEST(UNetVjpTest, IsTheDirectionalDerivative) {
  auto checkpoint = Checkpoint::Open("tests/golden/unet/mnist_cond_scaleshift");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  auto lanes = VjpLanesOf(*checkpoint, 2, torch::kCPU);
  ASSERT_TRUE(lanes.ok()) << lanes.status();
  NetworkVjp& network = *lanes->front();
  const size_t n = static_cast<size_t>(2 * network.shape().elements());
  std::vector<float> x(n), probe(n), direction(n), f(n), vjp(n), ahead(n), behind(n), unused(n);
  FillRowNoise(1, 0, 0, x);
  FillRowNoise(1, 1, 0, probe);
  FillRowNoise(1, 2, 0, direction);
  const std::vector<float> timesteps = {10, 700.5f};
  const std::vector<int64_t> labels = {3, 10};
  ASSERT_TRUE(network.Evaluate(x, timesteps, labels, probe, f, vjp).ok());

  constexpr float kStep = 2e-3f;
  for (size_t i = 0; i < n; ++i) ahead[i] = x[i] + kStep * direction[i];
  for (size_t i = 0; i < n; ++i) behind[i] = x[i] - kStep * direction[i];
  std::vector<float> f_ahead(n), f_behind(n);
  ASSERT_TRUE(network.Evaluate(ahead, timesteps, labels, probe, f_ahead, unused).ok());
  ASSERT_TRUE(network.Evaluate(behind, timesteps, labels, probe, f_behind, unused).ok());
  // Row by row: rows do not depend on one another.
  for (size_t row = 0; row < 2; ++row) {
    double along_vjp = 0, along_difference = 0;
    for (size_t i = row * n / 2; i < (row + 1) * n / 2; ++i) {
      along_vjp += vjp[i] * direction[i];
      along_difference += probe[i] * (f_ahead[i] - f_behind[i]) / (2 * kStep);
    }
    EXPECT_NEAR(along_vjp, along_difference, 2e-2 * std::abs(along_vjp)) << row;
    EXPECT_GT(std::abs(along_vjp), 0.01) << row;
  }
}

}  // namespace
}  // namespace diffusiond
