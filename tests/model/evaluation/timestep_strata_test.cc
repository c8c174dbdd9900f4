#include "model/evaluation/timestep_strata.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace diffusiond {
namespace {

VariationalBound LinearBound(int timesteps) {
  std::vector<double> betas;
  for (int t = 0; t < timesteps; ++t) betas.push_back(1e-4 + 0.2 * t / timesteps);
  return VariationalBound(betas, ReverseVariance::kFixedSmall);
}

TEST(TimestepStrataTest, WeightedTermsAreAnUnbiasedEstimateOfTheirSum) {
  const TimestepStrata strata(LinearBound(100), 0.2, 7);
  // Terms of another shape than the strata were made for.
  const auto term = [](int64_t t) { return 1 / (1 + 0.1 * static_cast<double>(t)); };
  double exact = 0;
  for (int64_t t = 1; t < 100; ++t) exact += term(t);
  double sum = 0, squares = 0;
  constexpr int kImages = 20'000;
  for (int64_t image = 0; image < kImages; ++image) {
    double estimate = 0;
    for (const auto& [t, weight] : strata.Draw(3, image)) estimate += weight * term(t);
    sum += estimate;
    squares += estimate * estimate;
  }
  const double mean = sum / kImages;
  const double error = std::sqrt((squares / kImages - mean * mean) / kImages);
  EXPECT_NEAR(mean, exact, 4 * error);
  EXPECT_LT(error, 0.01 * exact);
}

TEST(TimestepStrataTest, TermsOfTheExpectedShapeHaveLittleVariance) {
  const VariationalBound bound = LinearBound(100);
  const TimestepStrata strata(bound, 0.2, 10);
  const auto term = [&](int64_t t) {
    const auto snr = [&](int64_t s) { return bound.alpha_bar(s) / (1 - bound.alpha_bar(s)); };
    const double a = bound.alpha_bar(t);
    return (snr(t - 1) - snr(t)) * 0.2 * (1 - a) / (a * 0.2 + 1 - a);
  };
  double exact = 0;
  for (int64_t t = 1; t < 100; ++t) exact += term(t);
  for (int64_t image = 0; image < 100; ++image) {
    double estimate = 0;
    for (const auto& [t, weight] : strata.Draw(0, image)) estimate += weight * term(t);
    EXPECT_NEAR(estimate, exact, 0.12 * exact);
  }
}

TEST(TimestepStrataTest, DrawsAscendWithoutRepetitionAndDependOnSeedAndImage) {
  const TimestepStrata strata(LinearBound(30), 0.2, 20);
  const auto timesteps = [&](uint64_t seed, int64_t image) {
    std::vector<int64_t> drawn;
    for (const auto& [t, weight] : strata.Draw(seed, image)) drawn.push_back(t);
    return drawn;
  };
  for (int64_t image = 0; image < 50; ++image) {
    const auto drawn = timesteps(1, image);
    EXPECT_GE(drawn.front(), 1);
    EXPECT_LT(drawn.back(), 30);
    for (size_t i = 1; i < drawn.size(); ++i) EXPECT_LT(drawn[i - 1], drawn[i]);
  }
  EXPECT_EQ(timesteps(1, 5), timesteps(1, 5));
  EXPECT_NE(timesteps(1, 5), timesteps(2, 5));
  EXPECT_NE(timesteps(1, 5), timesteps(1, 6));
}

TEST(TimestepStrataTest, AllTimestepsAreTakenOnce) {
  for (const int64_t count : {0, 29, 1000}) {
    const auto drawn = TimestepStrata(LinearBound(30), 0.2, count).Draw(0, 0);
    ASSERT_EQ(drawn.size(), 29u);
    for (size_t i = 0; i < drawn.size(); ++i) {
      EXPECT_EQ(drawn[i].t, static_cast<int64_t>(i) + 1);
      EXPECT_EQ(drawn[i].weight, 1);
    }
  }
  EXPECT_TRUE(TimestepStrata(LinearBound(1), 0.2, 0).Draw(0, 0).empty());
}

}  // namespace
}  // namespace diffusiond
