#include "server/models/served_model.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
  EXPECT_EQ(model->defaults.sampling.variance, Variance::kFixedLarge);
  EXPECT_FALSE(model->defaults.sampling.clip_sample);
  EXPECT_EQ(model->defaults.guidance_scale, 1);
}

TEST(ServedModel, ItsOwnDefaultsGoBeforeTheSchedulers) {
  CheckpointConfig config = Config();
  config.generation.emplace();
  config.generation->options["sampler"] = std::string("ddim");
  config.generation->options["steps"] = int64_t{30};
  config.generation->options["eta"] = 1.0;
  config.generation->guidance_scale = 2;
  config.generation->options["timestep_spacing"] = std::string("trailing");
  const auto model = Make(config);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->defaults.sampling.sampler, "ddim");
  EXPECT_EQ(model->defaults.sampling.steps, 30);
  EXPECT_EQ(model->defaults.sampling.eta, 1);
  EXPECT_EQ(model->defaults.guidance_scale, 2);
  EXPECT_EQ(model->defaults.sampling.timestep_spacing, TimestepSpacing::kTrailing);
  EXPECT_EQ(model->defaults.sampling.variance, Variance::kFixedSmall) << "the scheduler's";
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
  config.generation->options["steps"] = int64_t{1001};
  const auto too_many_steps = Make(config);
  ASSERT_TRUE(too_many_steps.ok()) << too_many_steps.status();
  EXPECT_EQ(too_many_steps->defaults.sampling.sampler, "ddim");
  EXPECT_EQ(too_many_steps->defaults.sampling.steps, 50);
  EXPECT_THAT(too_many_steps->warnings, ElementsAre(HasSubstr("steps is 1001")));
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
  EXPECT_EQ(model->defaults.sampling.variance, Variance::kLearnedRange);
}

TEST(ServedModel, OfEdmDrawsByEuler) {
  CheckpointConfig config = Config();
  config.scheduler = SchedulerDefaults("EDMEulerScheduler");
  const auto model = Make(config);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->defaults.sampling.sampler, "euler");
  SamplingOptions ddpm;
  EXPECT_THAT(std::string(model->plans->Get(ddpm).status().message()),
              HasSubstr("sampler ddpm needs a noise schedule of betas"));
}

}  // namespace
}  // namespace diffusiond
