#include "model/diffusion/noise_angle.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace diffusiond {
namespace {

NoiseAngles Angles(const std::string& beta_schedule) {
  SchedulerConfig config;
  config.beta_schedule = beta_schedule;
  auto angles = NoiseAngles::Create(*NoiseSchedule::Create(config));
  EXPECT_TRUE(angles.ok()) << angles.status();
  return *angles;
}

TEST(NoiseAnglesTest, TimestepsComeBackAndWhatLiesBetweenLiesBetween) {
  SchedulerConfig config;
  const NoiseSchedule schedule = *NoiseSchedule::Create(config);
  const NoiseAngles angles = Angles("linear");
  const auto angle = [&](int64_t t) { return std::acos(std::sqrt(schedule.alpha_bar(t))); };
  for (const int64_t t : {0, 1, 500, 998, 999}) {
    EXPECT_NEAR(angles.TimestepAt(angle(t)), static_cast<double>(t), 1e-6);
  }
  EXPECT_NEAR(angles.TimestepAt(0.25 * angle(7) + 0.75 * angle(8)), 7.75, 1e-6);
  EXPECT_EQ(angles.TimestepAt(0), 0);
  EXPECT_EQ(angles.TimestepAt(std::numbers::pi / 2), 999);
}

TEST(NoiseAnglesTest, TheGridGoesFromTheLeastNoiseToTheMost) {
  for (const std::string schedule : {"linear", "squaredcos_cap_v2"}) {
    const NoiseAngles angles = Angles(schedule);
    const auto grid = angles.Grid(20);
    ASSERT_EQ(grid.size(), 21u);
    EXPECT_EQ(grid.front(), angles.least());
    EXPECT_EQ(grid.back(), angles.most());
    const double step = std::log(std::tan(grid[1] / 2) / std::tan(grid[0] / 2));
    for (size_t i = 1; i < grid.size(); ++i) {
      EXPECT_NEAR(std::log(std::tan(grid[i] / 2) / std::tan(grid[i - 1] / 2)), step, 1e-9);
    }
  }
}

TEST(NoiseAnglesTest, SchedulesWithoutATimeForEachLevelAreRefused) {
  SchedulerConfig config;
  config.num_train_timesteps = 3;
  config.trained_betas = {0.1, 0, 0.1};
  auto schedule = NoiseSchedule::Create(config);
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  EXPECT_NE(NoiseAngles::Create(*schedule).status().message().find("alphas_cumprod[1]"),
            std::string::npos);
  config.num_train_timesteps = 1;
  config.trained_betas = {0.1};
  EXPECT_NE(
      NoiseAngles::Create(*NoiseSchedule::Create(config)).status().message().find("at least 2"),
      std::string::npos);
}

}  // namespace
}  // namespace diffusiond
