// A network's output depends on its input alone: not on the images beside it, the threads that
// compute it, or the instruction set.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/cpu_network/cpu_unet.h"
#include "model/cpu_network/kernels.h"
#include "model/cpu_network/network_runner.h"
#include "tests/model/cpu_network/random_unet.h"

namespace diffusiond {
namespace {

using ::testing::IsSupersetOf;

std::vector<std::string> KindNames() {
  std::vector<std::string> names;
  for (const auto& [name, config] : UNetKinds()) names.push_back(name);
  return names;
}

class SameEverywhereTest : public testing::TestWithParam<std::string> {
 protected:
  SameEverywhereTest() : network_(RandomCpuUNet(UNetKinds().at(GetParam()))) {}
  ~SameEverywhereTest() override { UseKernelTarget(KernelTargets().front()); }

  std::vector<std::vector<float>> Predicted(int threads, const std::vector<uint32_t>& numbers) {
    NetworkRunner runner(network_, std::make_shared<LanePool>(threads));
    return Predict(&runner, numbers);
  }

  const std::shared_ptr<const CpuUNet> network_;
};

TEST_P(SameEverywhereTest, BesideAnyOthers) {
  ASSERT_NE(network_, nullptr);
  const auto together = Predicted(1, {0, 1, 2, 3, 4, 5, 6});
  NetworkRunner runner(network_, std::make_shared<LanePool>(1));
  for (uint32_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(Predict(&runner, std::vector<uint32_t>{i})[0], together[i]) << "image " << i;
  }
  EXPECT_EQ(Predicted(1, {6, 0, 3})[2], together[3]);
  EXPECT_NE(together[0], together[1]);
  for (const float value : together[0]) ASSERT_TRUE(std::isfinite(value));
}

TEST_P(SameEverywhereTest, OnAnyNumberOfThreads) {
  ASSERT_NE(network_, nullptr);
  const auto on_one = Predicted(1, {0, 1, 2, 3, 4, 5, 6});
  for (const int threads : {2, 3, 5, 8, 13}) {
    EXPECT_EQ(Predicted(threads, {0, 1, 2, 3, 4, 5, 6}), on_one) << threads << " threads";
    EXPECT_EQ(Predicted(threads, {4})[0], on_one[4]) << threads << " threads, alone";
  }
}

TEST_P(SameEverywhereTest, OnAnyInstructionSet) {
  ASSERT_NE(network_, nullptr);
  ASSERT_EQ(KernelTargets().back(), "baseline") << "the one that is everywhere";
  const auto best = Predicted(1, {0, 1});
  for (const std::string& target : KernelTargets()) {
    UseKernelTarget(target);
    EXPECT_EQ(Predicted(1, {0, 1}), best) << target << " and " << KernelTargets().front();
  }
}

TEST_P(SameEverywhereTest, ItsSizeIsToldByItsConfiguration) {
  ASSERT_NE(network_, nullptr);
  const CpuUNetSize told = CpuUNetSizeOf(UNetKinds().at(GetParam())), size = network_->size();
  EXPECT_EQ(told.weights, size.weights);
  EXPECT_EQ(told.scratch, size.scratch);
  EXPECT_GE(told.arena, size.arena);
  EXPECT_LE(told.arena, size.arena + size.arena / 2);
}

int64_t BytesInUse() {
  const struct mallinfo2 heap = mallinfo2();  // Of sanitizers nothing.
  return static_cast<int64_t>(heap.uordblks + heap.hblkhd);
}

TEST_P(SameEverywhereTest, ItKeepsItsPackedWeightsAndLittleElse) {
  const int64_t before = BytesInUse();
  const std::shared_ptr<const CpuUNet> another = RandomCpuUNet(UNetKinds().at(GetParam()));
  ASSERT_NE(another, nullptr);
  const auto weights = static_cast<double>(another->size().weights * sizeof(float));
  constexpr double kHugePage = 2 << 20;  // Weights lie on whole ones.
  EXPECT_LE(static_cast<double>(BytesInUse() - before), 1.08 * weights + kHugePage)
      << "of weights " << weights;
}

double WeightsByParameters(const UNetConfig& config) {
  double parameters = 0;
  for (const auto& [name, shape] : CpuUNetParameters(config)) {
    double count = 1;
    for (const int64_t side : shape) count *= static_cast<double>(side);
    parameters += count;
  }
  return static_cast<double>(CpuUNetSizeOf(config).weights) / parameters;
}

// Winograd's transforms of deep layers' kernels are kept where these layers are much of the work.
TEST(TransformsAtUseTest, WhereTheWorkIsElsewhere) {
  UNetConfig paper;  // Ho et al. 2020, for CIFAR-10.
  paper.block_out_channels = {128, 256, 256, 256};
  paper.down_block_types = {"DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"};
  paper.up_block_types = {"UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"};
  paper.attention_head_dim = std::nullopt;
  EXPECT_NEAR(WeightsByParameters(paper), 2.05, 0.1);
  UNetConfig large = paper;  // For 256x256.
  large.sample_height = large.sample_width = 256;
  large.block_out_channels = {128, 128, 256, 256, 512, 512};
  large.down_block_types = {"DownBlock2D", "DownBlock2D",     "DownBlock2D",
                            "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"};
  large.up_block_types = {"UpBlock2D", "AttnUpBlock2D", "UpBlock2D",
                          "UpBlock2D", "UpBlock2D",     "UpBlock2D"};
  EXPECT_NEAR(WeightsByParameters(large), 1.6, 0.1);

  const std::shared_ptr<const CpuUNet> network = RandomCpuUNet(UNetKinds().at("large"));
  ASSERT_NE(network, nullptr);
  std::set<std::string> kinds;
  for (const auto& layer : network->layers()) kinds.insert(layer->kind());
  EXPECT_THAT(kinds, IsSupersetOf({"convolution, F(4x4)", "convolution, F(4x4) at use",
                                   "convolution, F(2x2) at use"}))
      << "the tests above are of all ways";
}

INSTANTIATE_TEST_SUITE_P(Kinds, SameEverywhereTest, testing::ValuesIn(KindNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace diffusiond
