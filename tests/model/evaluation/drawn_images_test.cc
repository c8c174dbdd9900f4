#include "model/evaluation/drawn_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace diffusiond {
namespace {

using testing::HasSubstr;

CheckpointConfig ThreeClasses() {
  CheckpointConfig config;
  config.unet.num_class_embeds = 3;
  config.generation.emplace().guidance_scale = 4;
  return config;
}

TEST(DrawnImagesTest, AModelWithoutNullClassIsServedWithoutGuidance) {
  CheckpointConfig config = ThreeClasses();
  EXPECT_EQ(DefaultSetting(config, 1)->guidance_scale, 1);
  config.null_class_id = 2;
  EXPECT_EQ(DefaultSetting(config, 1)->guidance_scale, 4);
}

TEST(DrawnImagesTest, GuidanceWithoutNullClassIsRefused) {
  const CheckpointConfig config = ThreeClasses();
  const auto schedule = MakeModelSchedule(config.scheduler);
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  Setting setting = *DefaultSetting(config, 1);
  setting.guidance_scale = 2;
  const auto drawn = Draw(config, *schedule, setting, /*seed=*/0, /*runner=*/nullptr);
  EXPECT_EQ(drawn.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(drawn.status().message()), HasSubstr("guidance_scale is 2"));
}

}  // namespace
}  // namespace diffusiond
