// Attention of one head, in double precision, by its four projections and by the two that these are
// merged into.
#include "model/cpu_network/attention_projections.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/sampling/row_noise.h"

namespace diffusiond {
namespace {

constexpr size_t kChannels = 20, kPixels = 7;
using Pixels = std::vector<std::vector<double>>;

Linear RandomLinear(uint32_t number) {
  Linear linear = {.weights = std::vector<float>(kChannels * kChannels),
                   .bias = std::vector<float>(kChannels)};
  FillRowNoise(/*seed=*/5, number, 0, linear.weights);
  for (float& weight : linear.weights) weight /= std::sqrt(static_cast<float>(kChannels));
  FillRowNoise(/*seed=*/6, number, 0, linear.bias);
  return linear;
}

Pixels RandomPixels() {
  Pixels pixels;
  for (uint32_t i = 0; i < kPixels; ++i) {
    std::vector<float> values(kChannels);
    FillRowNoise(/*seed=*/7, i, 0, values);
    pixels.emplace_back(values.begin(), values.end());
  }
  return pixels;
}

Pixels Apply(const Linear& linear, const Pixels& x) {
  if (linear.weights.empty()) return x;
  Pixels y(x.size(), std::vector<double>(kChannels));
  for (size_t pixel = 0; pixel < x.size(); ++pixel) {
    for (size_t out = 0; out < kChannels; ++out) {
      double sum = linear.bias[out];
      for (size_t in = 0; in < kChannels; ++in) {
        sum += double{linear.weights[out * kChannels + in]} * x[pixel][in];
      }
      y[pixel][out] = sum;
    }
  }
  return y;
}

Pixels Attended(const AttentionProjections& by, const Pixels& x, double scale) {
  const Pixels q = Apply(by.q, x), k = Apply(by.k, x), v = Apply(by.v, x);
  Pixels mixed(x.size(), std::vector<double>(kChannels));
  for (size_t query = 0; query < x.size(); ++query) {
    double sum = 0;
    for (size_t key = 0; key < x.size(); ++key) {
      double score = 0;
      for (size_t i = 0; i < kChannels; ++i) score += q[query][i] * k[key][i];
      const double share = std::exp(scale * score);
      sum += share;
      for (size_t i = 0; i < kChannels; ++i) mixed[query][i] += share * v[key][i];
    }
    for (double& value : mixed[query]) value /= sum;
  }
  return Apply(by.out, mixed);
}

class AttentionProjectionsTest : public testing::Test {
 protected:
  void ExpectTheSame(const AttentionProjections& prepared) {
    const Pixels expected = Attended(by_, x_, kScale), given = Attended(prepared, x_, 1);
    for (size_t pixel = 0; pixel < kPixels; ++pixel) {
      for (size_t i = 0; i < kChannels; ++i) {
        EXPECT_NEAR(given[pixel][i], expected[pixel][i], 2e-6) << pixel << " " << i;
      }
    }
  }

  static constexpr double kScale = 0.37;
  const AttentionProjections by_ = {
      .q = RandomLinear(0), .k = RandomLinear(1), .v = RandomLinear(2), .out = RandomLinear(3)};
  const Pixels x_ = RandomPixels();
};

TEST_F(AttentionProjectionsTest, ScaledQueriesGiveTheSame) {
  AttentionProjections scaled = by_;
  ScaleQueries(kScale, &scaled);
  ExpectTheSame(scaled);
}

TEST_F(AttentionProjectionsTest, MergedProjectionsGiveTheSame) {
  AttentionProjections merged = by_;
  MergeProjections(kScale, &merged);
  EXPECT_TRUE(merged.k.weights.empty() && merged.v.weights.empty());
  ExpectTheSame(merged);
}

}  // namespace
}  // namespace diffusiond
