#include "model/diffusion/trained_betas.h"

#include <gtest/gtest.h>

#include <cmath>

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
  for (const size_t t : {0, 1, 300, 500, 998, 999}) {
    const double expected = 1 / (1 + std::exp(gammas[t]));
    EXPECT_NEAR(schedule->alpha_bar(static_cast<int64_t>(t)), expected, 1e-7 + 1e-5 * expected)
        << t;
  }
}

TEST(TrainedBetasTest, ComeBackFromABetaSchedule) {
  const NoiseSchedule schedule = *NoiseSchedule::Create(SchedulerConfig{});
  std::vector<double> gammas;
  double alpha_bar = 1;
  for (const float beta : schedule.betas()) {
    alpha_bar *= 1 - static_cast<double>(beta);
    gammas.push_back(std::log((1 - alpha_bar) / alpha_bar));
  }
  const auto betas = BetasFromGammas(gammas);
  for (size_t t = 0; t < betas.size(); ++t) EXPECT_NEAR(betas[t], schedule.betas()[t], 1e-12);
}

}  // namespace
}  // namespace diffusiond
