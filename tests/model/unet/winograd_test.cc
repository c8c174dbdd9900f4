#include "model/unet/winograd.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace diffusiond {
namespace {

struct Sizes {
  int64_t rows, in, out, height, width;
};

struct Gradients {
  torch::Tensor y, x, weight, bias;
};

Gradients Differentiate(const Sizes& sizes, bool winograd) {
  torch::manual_seed(7);
  const auto leaf = [](torch::Tensor values) { return values.detach().set_requires_grad(true); };
  const torch::Tensor x = leaf(torch::randn({sizes.rows, sizes.in, sizes.height, sizes.width}));
  const torch::Tensor weight = leaf(torch::randn({sizes.out, sizes.in, 3, 3}) /
                                    std::sqrt(9 * static_cast<double>(sizes.in)));
  const torch::Tensor bias = leaf(torch::randn({sizes.out}));
  EXPECT_EQ(SuitsWinograd(x, weight), HasWinograd());
  const torch::Tensor y =
      winograd ? WinogradConvolution(x, weight, bias) : torch::conv2d(x, weight, bias, 1, 1);
  y.backward(torch::randn(y.sizes()));  // However `y` lies.
  return {y.detach(), x.grad(), weight.grad(), bias.grad()};
}

TEST(WinogradTest, IsTheConvolutionAndItsGradients) {
  for (const Sizes& sizes : std::vector<Sizes>{{8, 32, 16, 28, 28},
                                               {8, 64, 96, 14, 14},
                                               {3, 16, 48, 13, 22},
                                               {33, 16, 16, 1, 3},
                                               {2, 128, 64, 16, 16}}) {
    for (const int threads : {1, 2}) {
      SCOPED_TRACE(testing::Message()
                   << sizes.rows << "x" << sizes.in << "->" << sizes.out << " " << sizes.height
                   << "x" << sizes.width << ", " << threads << " threads");
      at::set_num_threads(threads);
      const Gradients expected = Differentiate(sizes, false), got = Differentiate(sizes, true);
      const auto expect_near = [](const torch::Tensor& a, const torch::Tensor& b) {
        ASSERT_EQ(a.sizes(), b.sizes());
        EXPECT_LT((a - b).abs().max().item<double>(), 1e-5 * b.abs().max().item<double>() + 1e-6);
      };
      expect_near(got.y, expected.y);
      expect_near(got.x, expected.x);
      expect_near(got.weight, expected.weight);
      expect_near(got.bias, expected.bias);
    }
  }
}

TEST(WinogradTest, TakesViewsAndGradientsThatAreNotContiguous) {
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({32, 16, 8, 8}).transpose(2, 3).set_requires_grad(true);
  const torch::Tensor weight = torch::randn({2, 16, 16, 3, 3})[1] / 12;
  const torch::Tensor bias = torch::randn({32}).slice(0, 0, 32, 2);
  const torch::Tensor y = WinogradConvolution(x, weight, bias);
  EXPECT_TRUE(torch::allclose(y, torch::conv2d(x, weight, bias, 1, 1), 1e-4, 1e-5));
  const torch::Tensor of_sum = torch::autograd::grad({y.sum()}, {x})[0];
  const torch::Tensor expected =
      torch::autograd::grad({torch::conv2d(x, weight, bias, 1, 1).sum()}, {x})[0];
  EXPECT_TRUE(torch::allclose(of_sum, expected, 1e-4, 1e-5));
}

TEST(WinogradTest, ThreadsGiveTheSameBytes) {
  const Sizes sizes = {8, 32, 32, 28, 28};
  at::set_num_threads(1);
  torch::manual_seed(3);
  const torch::Tensor x = torch::randn({sizes.rows, sizes.in, sizes.height, sizes.width});
  const torch::Tensor weight = torch::randn({sizes.out, sizes.in, 3, 3}) / 17;
  const torch::Tensor bias = torch::randn({sizes.out});
  const torch::Tensor expected = WinogradConvolution(x, weight, bias);
  std::vector<torch::Tensor> there(4);
  std::vector<std::thread> threads;
  for (torch::Tensor& y : there) {
    threads.emplace_back([&] {
      at::set_num_threads(1);
      y = WinogradConvolution(x, weight, bias);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const torch::Tensor& y : there) EXPECT_TRUE(torch::equal(y, expected));
}

TEST(SuitsWinogradTest, OnlyWhatItIsFasterFor) {
  const torch::Tensor x = torch::zeros({4, 32, 28, 28}), weight = torch::zeros({32, 32, 3, 3});
  EXPECT_EQ(SuitsWinograd(x, weight), HasWinograd());
  EXPECT_FALSE(SuitsWinograd(torch::zeros({1, 32, 4, 4}), weight)) << "one tile";
  EXPECT_FALSE(SuitsWinograd(torch::zeros({4, 3, 28, 28}), torch::zeros({32, 3, 3, 3})));
  EXPECT_FALSE(SuitsWinograd(x, torch::zeros({1, 32, 3, 3})));
  EXPECT_FALSE(SuitsWinograd(x, torch::zeros({32, 32, 1, 1})));
  EXPECT_FALSE(SuitsWinograd(x.to(torch::kFloat64), weight.to(torch::kFloat64)));
}

}  // namespace
}  // namespace diffusiond
