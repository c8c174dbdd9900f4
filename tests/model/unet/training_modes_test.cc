// Ways to compute a network's gradient that must not change it: activations computed again, another
// layout in memory, and products in bfloat16, which may change it a little.
#include <gtest/gtest.h>

#include <vector>

#include "model/unet/autocast.h"
#include "model/unet/recompute.h"
#include "model/unet/unet.h"

namespace diffusiond {
namespace {

UNetConfig Config() {
  UNetConfig config;
  config.sample_height = config.sample_width = 8;
  config.in_channels = config.out_channels = 1;
  config.block_out_channels = {8, 16};
  config.layers_per_block = 1;
  config.down_block_types = {"DownBlock2D", "AttnDownBlock2D"};
  config.up_block_types = {"AttnUpBlock2D", "UpBlock2D"};
  config.attention_head_dim = 8;
  config.norm_num_groups = 4;
  config.num_class_embeds = 3;
  return config;
}

struct Mode {
  bool recompute = false;
  bool bf16 = false;
  bool channels_last = false;
  double dropout = 0.2;
};

struct Result {
  torch::Tensor loss;
  std::vector<torch::Tensor> gradients;
  torch::Tensor drawn_after;  // From the generator that dropout draws from.
};

Result TrainOnce(const Mode& mode) {
  UNetConfig config = Config();
  config.dropout = mode.dropout;
  UNet network(config);
  network.ResetParameters(1);
  {
    // ResetParameters begins with branches that are zero and have no gradient inside.
    torch::NoGradGuard no_grad;
    torch::manual_seed(4);
    for (torch::Tensor& parameter : network.parameters()) {
      parameter.add_(0.05 * torch::randn_like(parameter));
    }
  }
  network.train();
  network.SetRecompute(mode.recompute);
  network.SetBf16(mode.bf16);
  network.SetChannelsLast(mode.channels_last);
  torch::manual_seed(2);
  const torch::Tensor x = torch::randn({4, 1, 8, 8}), target = torch::randn({4, 1, 8, 8});
  const torch::Tensor y = network.Forward(x, torch::tensor({1, 20, 300, 999}),
                                          torch::tensor({0, 1, 2, 1}, torch::kInt64));
  EXPECT_EQ(y.scalar_type(), torch::kFloat32);
  Result result;
  result.loss = torch::mse_loss(y, target);
  result.loss.backward();
  for (const torch::Tensor& parameter : network.parameters()) {
    EXPECT_EQ(parameter.scalar_type(), torch::kFloat32);
    result.gradients.push_back(parameter.grad());
  }
  result.drawn_after = torch::rand({4});
  return result;
}

// The same bits forward, and gradients that differ by the order of sums alone.
void ExpectSame(const Result& a, const Result& b, double tolerance) {
  EXPECT_TRUE(torch::equal(a.loss, b.loss));
  EXPECT_TRUE(torch::equal(a.drawn_after, b.drawn_after));
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    ASSERT_TRUE(a.gradients[i].defined() && b.gradients[i].defined()) << i;
    EXPECT_GT(a.gradients[i].abs().max().item<double>(), 0) << i;
    EXPECT_LE((a.gradients[i] - b.gradients[i]).norm().item<double>(),
              tolerance * (a.gradients[i].norm().item<double>() + 1e-3))
        << i;
  }
}

TEST(RecomputeTest, GradientsAreTheSame) {
  at::set_num_threads(1);
  ExpectSame(TrainOnce({}), TrainOnce({.recompute = true}), 1e-5);
}

TEST(RecomputeTest, WhatIsInsideABlockIsNotKept) {
  // A block's own graph: kept, it would hold the large intermediate.
  const torch::Tensor x = torch::ones({2}, torch::requires_grad());
  torch::Tensor inside;
  int runs = 0;
  const auto block = [&](const torch::Tensor& a, const torch::Tensor&) {
    ++runs;
    inside = a.repeat({1000});
    return inside.square().sum();
  };
  const torch::Tensor y = Recomputed(block, x, {});
  EXPECT_FALSE(inside.requires_grad());
  EXPECT_EQ(runs, 1);
  y.backward();
  EXPECT_EQ(runs, 2);
  EXPECT_TRUE(torch::equal(x.grad(), torch::full({2}, 2000.0)));
  torch::NoGradGuard no_grad;
  Recomputed(block, x, {});
  EXPECT_EQ(runs, 3);
}

TEST(Bf16Test, IsCloseToFloat32AndTheSameWhenRecomputed) {
  at::set_num_threads(1);
  const Result exact = TrainOnce({}), rough = TrainOnce({.bf16 = true});
  EXPECT_FALSE(torch::equal(exact.loss, rough.loss));
  EXPECT_NEAR(exact.loss.item<double>(), rough.loss.item<double>(), 0.03);
  double dot = 0, exact_square = 0, rough_square = 0;
  for (size_t i = 0; i < exact.gradients.size(); ++i) {
    EXPECT_EQ(rough.gradients[i].scalar_type(), torch::kFloat32);
    dot += (exact.gradients[i] * rough.gradients[i]).sum().item<double>();
    exact_square += exact.gradients[i].square().sum().item<double>();
    rough_square += rough.gradients[i].square().sum().item<double>();
  }
  EXPECT_GT(dot / std::sqrt(exact_square * rough_square), 0.99);
  ExpectSame(rough, TrainOnce({.recompute = true, .bf16 = true}), 0.02);
}

// Dropout draws in the order of memory, so without it.
TEST(ChannelsLastTest, IsTheSameWithinRounding) {
  at::set_num_threads(1);
  for (const bool recompute : {false, true}) {
    const Result plain = TrainOnce({.dropout = 0});
    const Result other = TrainOnce({.recompute = recompute, .channels_last = true, .dropout = 0});
    EXPECT_NEAR(plain.loss.item<double>(), other.loss.item<double>(), 1e-6);
    ASSERT_EQ(plain.gradients.size(), other.gradients.size());
    for (size_t i = 0; i < plain.gradients.size(); ++i) {
      EXPECT_LE((plain.gradients[i] - other.gradients[i]).norm().item<double>(),
                1e-5 * (plain.gradients[i].norm().item<double>() + 1e-2))
          << i;
    }
  }
}

TEST(ChannelsLastTest, LayersKeepTheLayout) {
  torch::manual_seed(3);
  const auto is_channels_last = [](const torch::Tensor& x) {
    return x.is_contiguous(torch::MemoryFormat::ChannelsLast) && !x.is_contiguous();
  };
  const torch::Tensor x = 3 + 2 * torch::randn({2, 8, 5, 3});
  const torch::Tensor last = x.contiguous(torch::MemoryFormat::ChannelsLast);
  GroupNormLayer norm(4, 8, 1e-5, {});
  {
    torch::NoGradGuard no_grad;
    norm.weight.normal_();
    norm.bias.normal_();
  }
  EXPECT_TRUE(is_channels_last(norm.Forward(last)));
  EXPECT_TRUE(torch::allclose(norm.Forward(last), norm.Forward(x), 1e-5, 1e-5));

  ConvLayer conv(8, 16, 3, 2, 1, {});
  conv.SetChannelsLast(true);
  {
    torch::NoGradGuard no_grad;
    conv.weight.normal_();
    conv.bias.normal_();
  }
  EXPECT_TRUE(is_channels_last(conv.Forward(x)));
  EXPECT_TRUE(is_channels_last(conv.Forward(last)));
  EXPECT_TRUE(torch::allclose(conv.Forward(last), torch::conv2d(x, conv.weight, conv.bias, 2, 1),
                              1e-4, 1e-4));
}

TEST(Bf16Test, GuardsNestAndEnd) {
  EXPECT_FALSE(AutocastGuard::Enabled(torch::kCPU));
  {
    AutocastGuard on(torch::kCPU, true);
    EXPECT_TRUE(AutocastGuard::Enabled(torch::kCPU));
    {
      AutocastGuard off(torch::kCPU, false);
      EXPECT_FALSE(AutocastGuard::Enabled(torch::kCPU));
    }
    EXPECT_TRUE(AutocastGuard::Enabled(torch::kCPU));
  }
  EXPECT_FALSE(AutocastGuard::Enabled(torch::kCPU));
}

}  // namespace
}  // namespace diffusiond
