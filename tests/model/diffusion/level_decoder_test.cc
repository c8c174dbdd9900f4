#include "model/diffusion/level_decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace diffusiond {
namespace {

TEST(LevelDecoderTest, LittleNoiseTellsTheByteAndMuchNoiseNothing) {
  for (const size_t level : {0, 1, 100, 255}) {
    EXPECT_NEAR(DecodeLevels(-15).value[level], 0, 1e-6) << level;
    EXPECT_NEAR(DecodeLevels(12).value[level], std::log(256.0), 2e-3) << level;
  }
}

TEST(LevelDecoderTest, IsTheMeanOverNoise) {
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  for (const double gamma : {-10.0, -8.0, -4.0}) {
    for (const int level : {0, 3, 128}) {
      double sum = 0;
      constexpr int kDraws = 4000;
      for (int draw = 0; draw < kDraws; ++draw) {
        const double sigma = std::exp(gamma / 2), eps = normal(random);
        const double z = level / 127.5 + sigma * eps;
        double shares = 0;
        for (int other = 0; other < 256; ++other) {
          shares += std::exp(-std::pow((z - other / 127.5) / sigma, 2) / 2 + eps * eps / 2);
        }
        sum += std::log(shares);
      }
      EXPECT_NEAR(DecodeLevels(gamma).value[static_cast<size_t>(level)], sum / kDraws, 0.05)
          << gamma << " " << level;
    }
  }
}

TEST(LevelDecoderTest, TheSlopeIsTheDifferenceQuotient) {
  constexpr double kStep = 1e-4;
  for (const double gamma : {-12.0, -9.5, -5.0, 0.0}) {
    const LevelDecoderNats at = DecodeLevels(gamma), above = DecodeLevels(gamma + kStep),
                           below = DecodeLevels(gamma - kStep);
    for (const size_t level : {0, 2, 40, 127, 128, 255}) {
      EXPECT_NEAR(at.slope[level], (above.value[level] - below.value[level]) / (2 * kStep), 1e-5)
          << gamma << " " << level;
    }
  }
}

}  // namespace
}  // namespace diffusiond
