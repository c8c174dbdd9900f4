// Networks with random weights, and rows to put through them, alone and together.
#ifndef DIFFUSIOND_TESTS_MODEL_UNET_UNET_ROWS_H_
#define DIFFUSIOND_TESTS_MODEL_UNET_UNET_ROWS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "model/sampling/row_noise.h"
#include "model/unet/unet.h"

namespace diffusiond {

// ResetParameters starts residual branches at zero; here every layer has something to do.
inline std::shared_ptr<UNet> RandomNetwork(const UNetConfig& config, double deviation = 0.05) {
  auto network = std::make_shared<UNet>(config);
  network->ResetParameters(1);
  torch::NoGradGuard no_grad;
  torch::manual_seed(2);
  for (auto& parameter : network->parameters()) {
    parameter.add_(torch::randn_like(parameter) * deviation);
    parameter.set_requires_grad(false);
  }
  network->eval();
  return network;
}

struct UNetRow {
  std::vector<float> x;
  float timestep = 0;
  int64_t label = 0;
};

// The i-th of many, for a network of `config` and that many classes.
inline UNetRow MakeRow(uint32_t i, const UNetConfig& config, int64_t classes) {
  UNetRow row;
  row.x.resize(
      static_cast<size_t>(config.in_channels * config.sample_height * config.sample_width));
  FillRowNoise(9, i, 0, row.x);
  row.timestep = static_cast<float>(37 * i % 1000);
  row.label = i % classes;
  return row;
}

// What `evaluate`, of UNetDenoiser or UNetClassifier, gives for each of `rows`, put to it together.
inline std::vector<std::vector<float>> EvaluateTogether(
    const std::vector<UNetRow>& rows,
    const std::function<absl::Status(std::span<const float>, std::span<const float>,
                                     std::span<const int64_t>, std::span<float>)>& evaluate) {
  std::vector<float> x, timesteps;
  std::vector<int64_t> labels;
  for (const UNetRow& row : rows) {
    x.insert(x.end(), row.x.begin(), row.x.end());
    timesteps.push_back(row.timestep);
    labels.push_back(row.label);
  }
  std::vector<float> all(x.size());
  const absl::Status status = evaluate(x, timesteps, labels, all);
  EXPECT_TRUE(status.ok()) << status;
  std::vector<std::vector<float>> each;
  const auto n = static_cast<std::ptrdiff_t>(rows[0].x.size());
  for (auto at = all.begin(); at != all.end(); at += n) each.emplace_back(at, at + n);
  return each;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_UNET_UNET_ROWS_H_
