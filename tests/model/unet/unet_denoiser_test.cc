#include "model/unet/unet_denoiser.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "tests/model/unet/unet_rows.h"

namespace diffusiond {
namespace {

UNetConfig SmallConfig() {
  UNetConfig config;
  config.sample_height = config.sample_width = 28;
  config.in_channels = config.out_channels = 1;
  config.block_out_channels = {32, 64, 96};
  config.layers_per_block = 1;
  config.down_block_types = {"DownBlock2D", "DownBlock2D", "AttnDownBlock2D"};
  config.up_block_types = {"AttnUpBlock2D", "UpBlock2D", "UpBlock2D"};
  config.norm_num_groups = 8;
  config.attention_head_dim = 32;
  config.num_class_embeds = 11;
  return config;
}

// Neither channels nor pixels fill vector registers: what LibTorch does with what is left over, and
// with two rows in one register, must not show.
UNetConfig OddConfig() {
  UNetConfig config = SmallConfig();
  config.sample_height = config.sample_width = 14;
  config.block_out_channels = {12, 20};
  config.down_block_types = {"DownBlock2D", "AttnDownBlock2D"};
  config.up_block_types = {"AttnUpBlock2D", "UpBlock2D"};
  config.norm_num_groups = 4;
  config.attention_head_dim = 4;
  return config;
}

UNetRow RowOf(uint32_t i, const UNetConfig& config = SmallConfig()) {
  return MakeRow(i, config, 11);
}

std::vector<std::vector<float>> Evaluate(Denoiser* denoiser, const std::vector<UNetRow>& rows) {
  return EvaluateTogether(rows, [&](auto x, auto timesteps, auto labels, auto f) {
    return denoiser->Predict(x, timesteps, labels, f);
  });
}

class UNetDenoiserTest : public testing::TestWithParam<int> {};

// The promise "same request, same bytes" stands on this.
TEST_P(UNetDenoiserTest, ARowsBytesDependOnItsOwnInputOnly) {
  const int rows = GetParam();
  UNetDenoiser denoiser(RandomNetwork(SmallConfig()), {.micro_batch = rows});
  std::vector<UNetRow> first;
  for (int i = 0; i < rows; ++i) first.push_back(RowOf(static_cast<uint32_t>(i)));
  const auto expected = Evaluate(&denoiser, first);
  for (int position = 0; position < rows; ++position) {
    std::vector<UNetRow> others;
    for (int i = 0; i < rows; ++i) others.push_back(RowOf(static_cast<uint32_t>(100 + i)));
    others[static_cast<size_t>(position)] = first[0];
    EXPECT_EQ(Evaluate(&denoiser, others)[static_cast<size_t>(position)], expected[0])
        << "at position " << position;
  }
}

TEST_P(UNetDenoiserTest, NorInANetworkOfOddSizes) {
  const uint32_t rows = static_cast<uint32_t>(GetParam());
  UNetDenoiser denoiser(RandomNetwork(OddConfig()), {.micro_batch = GetParam()});
  // Other last bits are rare: many rows, each in every position.
  for (uint32_t i = 0; i < 40; ++i) {
    std::vector<std::vector<float>> seen;
    for (uint32_t position = 0; position < rows; ++position) {
      std::vector<UNetRow> batch;
      for (uint32_t j = 0; j < rows; ++j) batch.push_back(RowOf(100 + rows * i + j, OddConfig()));
      batch[position] = RowOf(i, OddConfig());
      seen.push_back(Evaluate(&denoiser, batch)[position]);
      ASSERT_EQ(seen.back(), seen.front()) << "row " << i << " at position " << position;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(MicroBatches, UNetDenoiserTest, testing::Values(1, 2, 3, 4, 8));

TEST(UNetDenoiserTest, ThreadsThatShareWeightsGiveTheSameBytes) {
  auto network = RandomNetwork(SmallConfig());
  const std::vector<UNetRow> rows = {RowOf(1), RowOf(2)};
  UNetDenoiser here(network, {.micro_batch = 2});
  const auto expected = Evaluate(&here, rows);
  std::vector<std::vector<float>> there[2];
  std::vector<std::thread> threads;
  for (auto& result : there) {
    threads.emplace_back([&network, &rows, &result] {
      UNetDenoiser denoiser(network, {.micro_batch = 2});
      result = Evaluate(&denoiser, rows);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(there[0], expected);
  EXPECT_EQ(there[1], expected);
}

TEST(UNetDenoiserTest, TheVarianceComesAfterEachRowsPrediction) {
  UNetConfig config = SmallConfig();
  config.out_channels = 2;
  const auto network = RandomNetwork(config);
  UNetDenoiser denoiser(network, {.micro_batch = 2});
  EXPECT_EQ(denoiser.shape().channels, 1);
  EXPECT_EQ(denoiser.output_channels(), 2);
  const UNetRow rows[2] = {RowOf(1), RowOf(2)};
  std::vector<float> x = rows[0].x;
  x.insert(x.end(), rows[1].x.begin(), rows[1].x.end());
  const float timesteps[] = {rows[0].timestep, rows[1].timestep};
  const int64_t labels[] = {rows[0].label, rows[1].label};
  std::vector<float> f(2 * x.size());
  const absl::Status status = denoiser.Predict(x, timesteps, labels, f);
  ASSERT_TRUE(status.ok()) << status;
  torch::InferenceMode inference;
  const torch::Tensor out = network->Forward(torch::from_blob(x.data(), {2, 1, 28, 28}),
                                             torch::tensor({timesteps[0], timesteps[1]}),
                                             torch::tensor({labels[0], labels[1]}));
  const torch::Tensor flat = torch::from_blob(f.data(), {2, 2, 28, 28});
  EXPECT_LT((out - flat).abs().max().item<float>(), 1e-4);
  EXPECT_GT((flat.select(1, 0) - flat.select(1, 1)).abs().max().item<float>(), 0.01);
}

TEST(UNetDenoiserTest, LabelOutOfRangeIsAStatusNotAnException) {
  UNetDenoiser denoiser(RandomNetwork(SmallConfig()), {.micro_batch = 1});
  UNetRow row = RowOf(0);
  row.label = 11;
  std::vector<float> f(row.x.size());
  EXPECT_EQ(
      denoiser.Predict(row.x, std::span(&row.timestep, 1), std::span(&row.label, 1), f).code(),
      absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace diffusiond
