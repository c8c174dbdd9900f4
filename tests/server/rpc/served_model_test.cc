#include "server/rpc/served_model.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/rpc/proto_conversion.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

CheckpointConfig Config() {
  CheckpointConfig config;
  config.unet.sample_height = 28;
  config.unet.sample_width = 32;
  config.unet.in_channels = 1;
  config.unet.out_channels = 1;
  return config;
}

absl::StatusOr<ServedModel> Make(const CheckpointConfig& config) {
  return MakeServedModel("hats", config, "digest", 12, {"1.13", "cpu", 2});
}

TEST(ServedModel, DescribesTheCheckpoint) {
  const auto model = Make(Config());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->name, "hats");
  EXPECT_EQ(model->digest, "digest");
  EXPECT_EQ(model->width, 32);
  EXPECT_EQ(model->height, 28);
  EXPECT_EQ(model->channels, 1);
  EXPECT_EQ(model->num_parameters, 12u);
  EXPECT_EQ(model->numerics.micro_batch, 2);
  EXPECT_THAT(model->class_names, IsEmpty());
  EXPECT_EQ(model->null_class_id, std::nullopt);
}

TEST(ServedModel, WithoutDefaultsOfItsOwnDrawsAsItsSchedulerDoes) {
  CheckpointConfig config = Config();
  config.scheduler.num_train_timesteps = 100;
  config.scheduler.variance_type = "fixed_large";
  config.scheduler.clip_sample = false;
  const auto model = Make(config);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->defaults.sampling.sampler, "ddpm");
  EXPECT_EQ(model->defaults.sampling.steps, 100);
  EXPECT_EQ(model->defaults.sampling.variance, "fixed_large");
  EXPECT_FALSE(model->defaults.sampling.clip_sample);
  EXPECT_EQ(model->defaults.guidance_scale, 1);
}

TEST(ServedModel, ItsOwnDefaultsGoBeforeTheSchedulers) {
  CheckpointConfig config = Config();
  config.generation.emplace();
  config.generation->sampler = "ddim";
  config.generation->steps = 30;
  config.generation->eta = 1;
  config.generation->guidance_scale = 2;
  config.generation->timestep_spacing = "trailing";
  const auto model = Make(config);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->defaults.sampling.sampler, "ddim");
  EXPECT_EQ(model->defaults.sampling.steps, 30);
  EXPECT_EQ(model->defaults.sampling.eta, 1);
  EXPECT_EQ(model->defaults.guidance_scale, 2);
  EXPECT_EQ(model->defaults.sampling.timestep_spacing, "trailing");
  EXPECT_EQ(model->defaults.sampling.variance, "fixed_small") << "the scheduler's";
}

TEST(ServedModel, ClassesWithoutNamesAreCountedAndALastNullClassIsNot) {
  CheckpointConfig config = Config();
  config.unet.num_class_embeds = 4;
  config.class_names = {"bowler", "fez"};
  EXPECT_THAT(Make(config)->class_names, ElementsAre("bowler", "fez", "", ""));
  config.null_class_id = 3;
  EXPECT_THAT(Make(config)->class_names, ElementsAre("bowler", "fez", ""));
  config.null_class_id = 0;
  EXPECT_THAT(Make(config)->class_names, ElementsAre("bowler", "fez", "", ""));
}

TEST(ServedModel, DefaultsThatDoNotRunGiveWayToTheNearestThatDo) {
  CheckpointConfig config = Config();
  config.generation.emplace();
  config.generation->steps = 1001;
  const auto too_many_steps = Make(config);
  ASSERT_TRUE(too_many_steps.ok()) << too_many_steps.status();
  EXPECT_EQ(too_many_steps->defaults.sampling.sampler, "ddim");
  EXPECT_EQ(too_many_steps->defaults.sampling.steps, 50);
  EXPECT_THAT(too_many_steps->warnings, ElementsAre(HasSubstr("steps is 1001")));
}

// What the files gave, then what the defaults gave; and the samplers that take no such model.
TEST(ServedModel, TellsItsWarningsAndWhichSamplersItLeavesOut) {
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

TEST(ServedModel, NetworksOfTheWrongWidthAreRefusedWithTheModelsName) {
  CheckpointConfig config = Config();
  config.scheduler.variance_type = "learned_range";
  const auto learned = Make(config);
  EXPECT_FALSE(learned.ok());
  EXPECT_THAT(std::string(learned.status().message()),
              HasSubstr("model hats: out_channels is 1; with in_channels 1 and variance_type "
                        "learned_range it must be 2"));
}

TEST(ServedModel, ALearnedVarianceIsTheDefaultWhereThereIsOne) {
  CheckpointConfig config = Config();
  config.unet.out_channels = 2;
  EXPECT_FALSE(Make(config).ok()) << "nothing says what the second channel is";
  config.scheduler.variance_type = "learned_range";
  const auto model = Make(config);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->channels, 1);
  EXPECT_EQ(model->defaults.sampling.variance, "learned_range");
}

TEST(ServedModel, OfEdmDrawsByEuler) {
  CheckpointConfig config = Config();
  config.scheduler = SchedulerDefaults("EDMEulerScheduler");
  const auto model = Make(config);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->defaults.sampling.sampler, "euler");
  std::vector<std::string> names;
  const v1::Model message = ToProto(*model, RequestLimits());
  for (const v1::SamplerInfo& sampler : message.samplers()) names.push_back(sampler.name());
  EXPECT_THAT(names, ElementsAre("annealed_langevin", "euler", "euler_ancestral", "heun", "lms"));
  EXPECT_EQ(message.beta_schedule(), "edm");
  SamplingOptions ddpm;
  EXPECT_THAT(std::string(model->plans->Get(ddpm).status().message()),
              HasSubstr("sampler ddpm needs a noise schedule of betas"));
}

}  // namespace
}  // namespace diffusiond
