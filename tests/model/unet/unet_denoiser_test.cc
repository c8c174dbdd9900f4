#include "model/unet/unet_denoiser.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "model/sampling/row_noise.h"

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

std::shared_ptr<UNet> RandomNetwork(const UNetConfig& config = SmallConfig()) {
  auto network = std::make_shared<UNet>(config);
  network->ResetParameters(1);
  // ResetParameters starts residual branches at zero; give every layer something to do.
  torch::NoGradGuard no_grad;
  torch::manual_seed(2);
  for (auto& parameter : network->parameters()) parameter.add_(torch::randn_like(parameter) * 0.05);
  network->eval();
  return network;
}

struct Row {
  std::vector<float> x;
  float timestep = 0;
  int64_t label = 0;
};

Row MakeRow(uint32_t i, size_t pixels = 28 * 28) {
  Row row;
  row.x.resize(pixels);
  FillRowNoise(9, i, 0, row.x);
  row.timestep = static_cast<float>(37 * i % 1000);
  row.label = i % 11;
  return row;
}

std::vector<std::vector<float>> Evaluate(Denoiser* denoiser, const std::vector<Row>& rows) {
  std::vector<float> x, timesteps;
  std::vector<int64_t> labels;
  for (const Row& row : rows) {
    x.insert(x.end(), row.x.begin(), row.x.end());
    timesteps.push_back(row.timestep);
    labels.push_back(row.label);
  }
  std::vector<float> f(x.size());
  const absl::Status status = denoiser->Predict(x, timesteps, labels, f);
  EXPECT_TRUE(status.ok()) << status;
  std::vector<std::vector<float>> out;
  for (size_t i = 0; i < rows.size(); ++i) {
    out.emplace_back(f.begin() + static_cast<ptrdiff_t>(i * rows[0].x.size()),
                     f.begin() + static_cast<ptrdiff_t>((i + 1) * rows[0].x.size()));
  }
  return out;
}

class UNetDenoiserTest : public testing::TestWithParam<int> {};

// The promise "same request, same bytes" stands on this.
TEST_P(UNetDenoiserTest, ARowsBytesDependOnItsOwnInputOnly) {
  const int rows = GetParam();
  UNetDenoiser denoiser(RandomNetwork(), {.rows = rows});
  std::vector<Row> first;
  for (int i = 0; i < rows; ++i) first.push_back(MakeRow(static_cast<uint32_t>(i)));
  const auto expected = Evaluate(&denoiser, first);
  for (int position = 0; position < rows; ++position) {
    std::vector<Row> others;
    for (int i = 0; i < rows; ++i) others.push_back(MakeRow(static_cast<uint32_t>(100 + i)));
    others[static_cast<size_t>(position)] = first[0];
    EXPECT_EQ(Evaluate(&denoiser, others)[static_cast<size_t>(position)], expected[0])
        << "at position " << position;
  }
}

TEST_P(UNetDenoiserTest, NorInANetworkOfOddSizes) {
  const uint32_t rows = static_cast<uint32_t>(GetParam());
  constexpr size_t kPixels = 14 * 14;
  UNetDenoiser denoiser(RandomNetwork(OddConfig()), {.rows = GetParam()});
  // Other last bits are rare: many rows, each in every position.
  for (uint32_t i = 0; i < 40; ++i) {
    std::vector<std::vector<float>> seen;
    for (uint32_t position = 0; position < rows; ++position) {
      std::vector<Row> batch;
      for (uint32_t j = 0; j < rows; ++j) batch.push_back(MakeRow(100 + rows * i + j, kPixels));
      batch[position] = MakeRow(i, kPixels);
      seen.push_back(Evaluate(&denoiser, batch)[position]);
      ASSERT_EQ(seen.back(), seen.front()) << "row " << i << " at position " << position;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(MicroBatches, UNetDenoiserTest, testing::Values(1, 2, 3, 4, 8));

TEST(UNetDenoiserTest, ThreadsThatShareWeightsGiveTheSameBytes) {
  auto network = RandomNetwork();
  const std::vector<Row> rows = {MakeRow(1), MakeRow(2)};
  UNetDenoiser here(network, {.rows = 2});
  const auto expected = Evaluate(&here, rows);
  std::vector<std::vector<float>> there[2];
  std::vector<std::thread> threads;
  for (auto& result : there) {
    threads.emplace_back([&network, &rows, &result] {
      UNetDenoiser denoiser(network, {.rows = 2});
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
  UNetDenoiser denoiser(network, {.rows = 2});
  EXPECT_EQ(denoiser.shape().channels, 1);
  EXPECT_EQ(denoiser.output_channels(), 2);
  const Row rows[2] = {MakeRow(1), MakeRow(2)};
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
  UNetDenoiser denoiser(RandomNetwork(), {.rows = 1});
  Row row = MakeRow(0);
  row.label = 11;
  std::vector<float> f(row.x.size());
  EXPECT_EQ(
      denoiser.Predict(row.x, std::span(&row.timestep, 1), std::span(&row.label, 1), f).code(),
      absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace diffusiond
