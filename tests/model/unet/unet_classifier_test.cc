#include "model/unet/unet_classifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "tests/model/unet/unet_rows.h"

namespace diffusiond {
namespace {

constexpr int kClasses = 5;

UNetConfig SmallConfig() {
  UNetConfig config;
  config.sample_height = config.sample_width = 16;
  config.in_channels = 3;
  config.out_channels = kClasses;
  config.block_out_channels = {16, 32};
  config.layers_per_block = 1;
  config.down_block_types = {"DownBlock2D", "AttnDownBlock2D"};
  config.up_block_types = {"AttnUpBlock2D", "UpBlock2D"};
  config.norm_num_groups = 8;
  config.attention_head_dim = 16;
  return config;
}

// Neither channels nor pixels fill vector registers.
UNetConfig OddConfig() {
  UNetConfig config = SmallConfig();
  config.sample_height = config.sample_width = 14;
  config.block_out_channels = {12, 20};
  config.norm_num_groups = 4;
  config.attention_head_dim = 4;
  return config;
}

UNetRow RowOf(uint32_t i, const UNetConfig& config) { return MakeRow(i, config, kClasses); }

std::vector<std::vector<float>> Gradients(NoiseClassifier* classifier,
                                          const std::vector<UNetRow>& rows) {
  return EvaluateTogether(rows, [&](auto x, auto timesteps, auto labels, auto gradient) {
    return classifier->Gradient(x, timesteps, labels, gradient);
  });
}

double LogProbability(const UNet& network, const UNetRow& row, const torch::Tensor& x) {
  torch::InferenceMode inference;
  return ClassLogProbabilities(network.Forward(x, torch::tensor({row.timestep})))[0][row.label]
      .item<double>();
}

TEST(UNetClassifierTest, ProbabilitiesOfAllClassesAddUpToOne) {
  const auto network = RandomNetwork(SmallConfig(), 0.1);
  const UNetRow row = RowOf(3, network->config());
  const torch::Tensor x = torch::tensor(row.x).view({1, 3, 16, 16});
  const torch::Tensor p =
      ClassLogProbabilities(network->Forward(x, torch::tensor({row.timestep}))).exp();
  ASSERT_EQ(p.sizes(), (std::vector<int64_t>{1, kClasses}));
  EXPECT_NEAR(p.sum().item<double>(), 1, 1e-5);
  EXPECT_GT(p.std().item<double>(), 1e-3) << "every class is alike";
}

TEST(UNetClassifierTest, TheGradientIsWhatSmallChangesOfTheImageShow) {
  const auto network = RandomNetwork(SmallConfig(), 0.1);
  UNetClassifier classifier(network, {.micro_batch = 2});
  const std::vector<UNetRow> rows = {RowOf(1, network->config()), RowOf(2, network->config())};
  const auto gradients = Gradients(&classifier, rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    const torch::Tensor x = torch::tensor(rows[i].x).view({1, 3, 16, 16});
    const torch::Tensor gradient = torch::tensor(gradients[i]).view_as(x);
    const double norm = gradient.norm().item<double>();
    ASSERT_GT(norm, 1e-3);
    // Along the gradient the slope is its norm, across it is nothing.
    const auto slope = [&](const torch::Tensor& direction) {
      constexpr double kStep = 0.05;
      return (LogProbability(*network, rows[i], x + kStep * direction) -
              LogProbability(*network, rows[i], x - kStep * direction)) /
             (2 * kStep);
    };
    EXPECT_NEAR(slope(gradient / norm), norm, 0.02 * norm);
    torch::manual_seed(5);
    torch::Tensor across = torch::randn_like(x);
    across -= gradient * ((across * gradient).sum() / (norm * norm));
    EXPECT_NEAR(slope(across / across.norm()), 0, 0.02 * norm);
  }
}

class UNetClassifierRowsTest : public testing::TestWithParam<int> {};

// The promise "same request, same bytes" stands on this.
TEST_P(UNetClassifierRowsTest, ARowsBytesDependOnItsOwnInputOnly) {
  const uint32_t rows = static_cast<uint32_t>(GetParam());
  for (const UNetConfig& config : {SmallConfig(), OddConfig()}) {
    UNetClassifier classifier(RandomNetwork(config, 0.1), {.micro_batch = GetParam()});
    for (uint32_t i = 0; i < 10; ++i) {
      std::vector<std::vector<float>> seen;
      for (uint32_t position = 0; position < rows; ++position) {
        std::vector<UNetRow> batch;
        for (uint32_t j = 0; j < rows; ++j) batch.push_back(RowOf(100 + rows * i + j, config));
        batch[position] = RowOf(i, config);
        seen.push_back(Gradients(&classifier, batch)[position]);
        ASSERT_EQ(seen.back(), seen.front())
            << config.sample_width << " wide, row " << i << " at position " << position;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(MicroBatches, UNetClassifierRowsTest, testing::Values(1, 2, 3, 4, 8));

TEST(UNetClassifierTest, ALabelThatIsNoClassIsNamed) {
  UNetClassifier classifier(RandomNetwork(SmallConfig(), 0.1), {.micro_batch = 1});
  UNetRow row = RowOf(0, SmallConfig());
  row.label = kClasses;
  std::vector<float> gradient(row.x.size());
  const absl::Status status =
      classifier.Gradient(row.x, std::span(&row.timestep, 1), std::span(&row.label, 1), gradient);
  EXPECT_EQ(status.message(), "class 5 is not in 0 .. 4 of the classifier");
}

}  // namespace
}  // namespace diffusiond
