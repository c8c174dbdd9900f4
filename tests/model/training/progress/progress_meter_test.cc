#include "model/training/progress/progress_meter.h"

#include <gtest/gtest.h>

#include <vector>

namespace diffusiond {
namespace {

TEST(ProgressMeterTest, PointsAreMeansSinceTheLastPoint) {
  absl::Time now = absl::UnixEpoch();
  ProgressMeter meter(100, 8, 50, [&now] { return now; });
  const std::vector<int64_t> timesteps = {0, 4, 49};
  const std::vector<float> losses = {1, 3, 7};
  for (double loss : {1.0, 2.0}) {
    now += absl::Seconds(4);
    meter.AddStep(
        {.loss = loss, .timesteps = timesteps, .losses = losses, .waited = absl::Seconds(loss)});
  }
  meter.PauseClock();
  now += absl::Hours(1);
  meter.SetHeldOutLoss(0.5);
  meter.ResumeClock();
  const ProgressPoint point = meter.Take(20);
  EXPECT_EQ(point.step, 20);
  EXPECT_EQ(point.total_steps, 100);
  EXPECT_EQ(point.images, 160);
  EXPECT_DOUBLE_EQ(point.loss, 1.5);
  EXPECT_DOUBLE_EQ(point.loss_by_level[0].value(), 2);
  EXPECT_FALSE(point.loss_by_level[1].has_value());
  EXPECT_DOUBLE_EQ(point.loss_by_level[9].value(), 7);
  EXPECT_DOUBLE_EQ(point.held_out_loss.value(), 0.5);
  EXPECT_DOUBLE_EQ(point.images_per_second, 2);
  EXPECT_DOUBLE_EQ(point.waiting_share, 3.0 / 8);
  EXPECT_EQ(point.left, absl::Seconds(80 * 4));

  now += absl::Seconds(8);
  meter.AddStep({.loss = 9, .timesteps = {}, .losses = {}, .waited = absl::ZeroDuration()});
  const ProgressPoint next = meter.Take(21);
  EXPECT_DOUBLE_EQ(next.loss, 9);
  EXPECT_FALSE(next.loss_by_level[0].has_value());
  EXPECT_DOUBLE_EQ(next.images_per_second, 1);
  EXPECT_DOUBLE_EQ(meter.total_waiting_share(), 3.0 / 16);
}

}  // namespace
}  // namespace diffusiond
