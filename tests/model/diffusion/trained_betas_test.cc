#include "model/diffusion/trained_betas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "model/diffusion/noise_schedule.h"

namespace diffusiond {
namespace {

TEST(TrainedBetasTest, TheSchedulesAlphaBarsHaveTheGammas) {
  std::vector<double> gammas;
  for (int t = 0; t < 1000; ++t) {
    gammas.push_back(kLeastGamma + (kMostGamma - kLeastGamma) * t / 999.0);
  }
  SchedulerConfig config;
  config.trained_betas = BetasFromGammas(gammas);
  const auto schedule = NoiseSchedule::Create(config);
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  for (size_t t = 0; t < gammas.size(); ++t) {
    const double alpha_bar = schedule->alpha_bar(static_cast<int64_t>(t));
    ASSERT_NEAR(std::log((1 - alpha_bar) / alpha_bar), gammas[t], 1e-8) << t;
  }
}

TEST(TrainedBetasTest, ComeBackFromABetaSchedule) {
  const NoiseSchedule schedule = *NoiseSchedule::Create(SchedulerConfig{});
  std::vector<double> gammas;
  double alpha_bar = 1;
  for (const double beta : schedule.betas()) {
    alpha_bar *= 1 - beta;
    gammas.push_back(std::log((1 - alpha_bar) / alpha_bar));
  }
  const auto betas = BetasFromGammas(gammas);
  for (size_t t = 0; t < betas.size(); ++t) EXPECT_NEAR(betas[t], schedule.betas()[t], 1e-12);
}

std::vector<double> EvenGammas(double low, double high) {
  std::vector<double> gammas;
  for (int t = 0; t < 1000; ++t) gammas.push_back(low + (high - low) * t / 999.0);
  return gammas;
}

TEST(Float32WarningTest, IsOfSchedulesThatBeginNearerToTheImageThanFloat32Resolves) {
  EXPECT_LT(LargestGammaChangeInFloat32(BetasFromGammas(EvenGammas(-9, 9))), 0.01);
  EXPECT_EQ(Float32Warning(BetasFromGammas(EvenGammas(-9, 9))), "");
  EXPECT_GT(LargestGammaChangeInFloat32(BetasFromGammas(EvenGammas(-15, 9))), 0.1);
  EXPECT_THAT(Float32Warning(BetasFromGammas(EvenGammas(-15, 9))),
              ::testing::HasSubstr("float32, in which diffusers reads them, cannot carry"));
  EXPECT_EQ(LargestGammaChangeInFloat32(std::vector<double>{1e-9}),
            std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace diffusiond
