#include "server/rpc/proto_conversion.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/models/served_model.h"

namespace diffusiond {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

CheckpointConfig Config() {
  CheckpointConfig config;
  config.unet.sample_height = 28;
  config.unet.sample_width = 32;
  config.unet.in_channels = 1;
  config.unet.out_channels = 1;
  return config;
}

// What the files gave, then what the defaults gave; and the samplers that take no such model.
TEST(ModelMessage, TellsItsWarningsAndWhichSamplersItLeavesOut) {
  CheckpointConfig config = Config();
  config.scheduler.class_name = "KDPM2DiscreteScheduler";
  config.scheduler.num_train_timesteps = 1;
  const auto model = MakeServedModel("hats", config, "digest", 12, {"1.13", "cpu", 2}, {"a field"});
  ASSERT_TRUE(model.ok()) << model.status();
  const v1::Model message = ToProto(*model, RequestLimits());
  EXPECT_THAT(message.warnings(),
              ElementsAre("a field", HasSubstr("KDPM2DiscreteScheduler has its second"),
                          HasSubstr("the default (heun, 1 steps, leading spacing) cannot be drawn "
                                    "with: num_train_timesteps is 1")));
  std::vector<std::string> left_out;
  for (const v1::UnavailableSampler& sampler : message.unavailable_samplers()) {
    left_out.push_back(sampler.name());
    EXPECT_THAT(sampler.reason(), HasSubstr("num_train_timesteps is 1"));
  }
  EXPECT_THAT(left_out, Contains("heun"));
  for (const v1::SamplerInfo& sampler : message.samplers()) {
    EXPECT_THAT(left_out, Not(Contains(sampler.name())));
  }
}

TEST(ModelMessage, OfEdmHasTheSamplersThatNeedNoBetas) {
  CheckpointConfig config = Config();
  config.scheduler = SchedulerDefaults("EDMEulerScheduler");
  const auto model = MakeServedModel("hats", config, "digest", 12, {"1.13", "cpu", 2});
  ASSERT_TRUE(model.ok()) << model.status();
  std::vector<std::string> names;
  const v1::Model message = ToProto(*model, RequestLimits());
  for (const v1::SamplerInfo& sampler : message.samplers()) names.push_back(sampler.name());
  EXPECT_THAT(names, ElementsAre("annealed_langevin", "euler", "euler_ancestral", "heun", "lms"));
  EXPECT_EQ(message.beta_schedule(), "edm");
  EXPECT_EQ(message.samplers(0).default_steps(), 60u) << "annealed_langevin needs more";
  EXPECT_EQ(message.samplers(1).default_steps(), message.defaults().steps());
}

}  // namespace
}  // namespace diffusiond
