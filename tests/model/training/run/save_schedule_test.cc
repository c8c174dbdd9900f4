#include "model/training/run/save_schedule.h"

#include <gtest/gtest.h>

namespace diffusiond {
namespace {

class SaveScheduleTest : public testing::Test {
 protected:
  SaveSchedule Make(int64_t steps, absl::Duration interval) {
    return SaveSchedule(steps, interval, [this] { return now_; });
  }
  absl::Time now_ = absl::UnixEpoch();
};

TEST_F(SaveScheduleTest, BySteps) {
  const SaveSchedule schedule = Make(5, absl::ZeroDuration());
  now_ += absl::Hours(100);
  EXPECT_FALSE(schedule.Due(4));
  EXPECT_TRUE(schedule.Due(5));
  EXPECT_FALSE(schedule.Due(6));
  EXPECT_TRUE(schedule.Due(10));
}

TEST_F(SaveScheduleTest, ByTimeSinceTheLastSave) {
  SaveSchedule schedule = Make(0, absl::Minutes(10));
  now_ += absl::Minutes(9);
  EXPECT_FALSE(schedule.Due(1));
  now_ += absl::Minutes(1);
  EXPECT_TRUE(schedule.Due(2));
  schedule.Saved(true);
  EXPECT_FALSE(schedule.Due(3));
  now_ += absl::Minutes(10);
  EXPECT_TRUE(schedule.Due(4));
}

TEST_F(SaveScheduleTest, AgainSoonAfterAFailure) {
  SaveSchedule schedule = Make(1000, absl::ZeroDuration());
  schedule.Saved(false);
  EXPECT_FALSE(schedule.Due(1001));
  now_ += SaveSchedule::kRetryAfter;
  EXPECT_TRUE(schedule.Due(1002));
  schedule.Saved(true);
  now_ += SaveSchedule::kRetryAfter;
  EXPECT_FALSE(schedule.Due(1003));
}

TEST_F(SaveScheduleTest, NeverUnlessAsked) {
  const SaveSchedule schedule = Make(0, absl::ZeroDuration());
  now_ += absl::Hours(1000);
  EXPECT_FALSE(schedule.Due(0));
  EXPECT_FALSE(schedule.Due(1));
}

}  // namespace
}  // namespace diffusiond
