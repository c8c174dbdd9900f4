#include "model/sampling/continuous_schedule.h"

#include <cmath>
#include <string>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

class ContinuousScheduleTest : public ::testing::TestWithParam<std::string> {
 protected:
  ContinuousScheduleTest() {
    SchedulerConfig config;
    config.beta_schedule = GetParam();
    schedule_ = *NoiseSchedule::Create(config);
  }
  absl::StatusOr<NoiseSchedule> schedule_;
};

TEST_P(ContinuousScheduleTest, IsTheTableAtWholeTimestepsAndOneBeforeThem) {
  const ContinuousSchedule continuous(*schedule_);
  EXPECT_EQ(continuous.alpha_bar(-1), 1);
  for (int64_t t = 0; t < schedule_->num_train_timesteps(); ++t) {
    EXPECT_NEAR(continuous.alpha_bar(static_cast<double>(t)), schedule_->alpha_bar(t),
                3e-6 * schedule_->alpha_bar(t))
        << t;
  }
}

TEST_P(ContinuousScheduleTest, FallsEverywhereAndBetaIsItsRate) {
  const ContinuousSchedule continuous(*schedule_);
  constexpr double kStep = 1.0 / 16, kSmall = 1e-4;
  for (double t = -1; t + kStep <= 999; t += kStep) {
    ASSERT_GT(continuous.alpha_bar(t), continuous.alpha_bar(t + kStep)) << t;
    const double middle = t + kStep / 2;
    const double rate =
        std::log(continuous.alpha_bar(middle - kSmall) / continuous.alpha_bar(middle + kSmall)) /
        (2 * kSmall);
    ASSERT_NEAR(continuous.beta(middle), rate, 1e-6 * (1 + rate)) << middle;
  }
}

INSTANTIATE_TEST_SUITE_P(Schedules, ContinuousScheduleTest,
                         ::testing::Values("linear", "scaled_linear", "squaredcos_cap_v2",
                                           "sigmoid"),
                         [](const auto& info) { return info.param; });

TEST(ContinuousScheduleOfOneTimestepTest, IsAStraightLine) {
  SchedulerConfig config;
  config.num_train_timesteps = 1;
  config.beta_start = config.beta_end = 0.5;
  const ContinuousSchedule continuous(*NoiseSchedule::Create(config));
  EXPECT_NEAR(continuous.alpha_bar(-0.5), std::sqrt(0.5), 1e-15);
  EXPECT_NEAR(continuous.beta(0), std::log(2), 1e-15);
}

}  // namespace
}  // namespace diffusiond
