#include "model/checkpoint/default_sampling.h"

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/model/checkpoint/small_checkpoint.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

CheckpointConfig With(const std::string& scheduler_json) {
  CheckpointConfig config = SmallConfig();
  const auto scheduler = ParseSchedulerConfig(scheduler_json);
  EXPECT_TRUE(scheduler.ok()) << scheduler.status();
  config.scheduler = *scheduler;
  if (config.scheduler.learns_variance()) config.unet.out_channels *= 2;
  return config;
}

DefaultSampling Resolved(const CheckpointConfig& config) {
  const auto defaults = ResolveDefaultSampling(config);
  EXPECT_TRUE(defaults.ok()) << defaults.status();
  return defaults.ok() ? *defaults : DefaultSampling();
}

TEST(DefaultSamplingTest, IsWhatTheGenerationDefaultsSay) {
  CheckpointConfig config = SmallConfig();
  config.generation.emplace();
  config.generation->options["sampler"] = std::string("unipc");
  config.generation->options["steps"] = int64_t{15};
  config.generation->guidance_scale = 2;
  config.generation->options["timestep_spacing"] = std::string("trailing");
  const DefaultSampling defaults = Resolved(config);
  EXPECT_EQ(defaults.options.sampler, "unipc");
  EXPECT_EQ(defaults.options.steps, 15);
  EXPECT_EQ(defaults.options.timestep_spacing, TimestepSpacing::kTrailing);
  EXPECT_EQ(defaults.options.arithmetic, Arithmetic::kExact);
  EXPECT_EQ(defaults.guidance_scale, 2);
  EXPECT_THAT(defaults.warnings, IsEmpty());
}

// diffusers' DDIMPipeline takes 50 steps; 1000 would begin at timestep 1000.
TEST(DefaultSamplingTest, AnOffsetOfOneLoads) {
  const DefaultSampling defaults = Resolved(With(
      ReadWholeFile(ShippedGoldenDirectory() / "cases/03-steps-offset-1.scheduler_config.json")));
  EXPECT_EQ(defaults.options.sampler, "ddim");
  EXPECT_EQ(defaults.options.steps, 50);
  EXPECT_EQ(defaults.options.timestep_spacing, TimestepSpacing::kLeading);
  EXPECT_THAT(defaults.warnings, IsEmpty());
  EXPECT_THAT(Resolved(With(R"({"steps_offset": 1})")).warnings, IsEmpty());
}

// Of the class that is not drawn with nothing is said, of an option that was replaced all the same.
TEST(DefaultSamplingTest, WhatActsIsWarnedOfWhateverSamplerTheGenerationDefaultsChoose) {
  CheckpointConfig config =
      With(R"({"_class_name": "EulerDiscreteScheduler", "interpolation_type": "log_linear"})");
  config.generation.emplace().options["sampler"] = std::string("heun");
  EXPECT_THAT(Resolved(config).warnings, ElementsAre(HasSubstr("log_linear")));
  config = With(R"({"_class_name": "KDPM2DiscreteScheduler"})");
  config.generation.emplace().options["sampler"] = std::string("ddim");
  EXPECT_THAT(Resolved(config).warnings, IsEmpty());
}

struct Lacking {
  const char* name;
  const char* scheduler;
  const char* warning;
  const char* sampler;
  std::function<bool(const SamplingOptions&)> takes = [](const SamplingOptions&) { return true; };
};

std::ostream& operator<<(std::ostream& out, const Lacking& lacking) { return out << lacking.name; }

class LackingTest : public ::testing::TestWithParam<Lacking> {};

TEST_P(LackingTest, FallsBackToWhatRunsAndSaysSo) {
  const DefaultSampling defaults = Resolved(With(GetParam().scheduler));
  EXPECT_EQ(defaults.options.sampler, GetParam().sampler);
  EXPECT_TRUE(GetParam().takes(defaults.options));
  EXPECT_THAT(defaults.warnings, ElementsAre(HasSubstr(GetParam().warning)));
}

using O = SamplingOptions;

INSTANTIATE_TEST_SUITE_P(
    Schedulers, LackingTest,
    ::testing::Values(
        Lacking{"Kdpm2", R"({"_class_name": "KDPM2DiscreteScheduler"})",
                "KDPM2DiscreteScheduler has its second evaluation midway; drawn with heun", "heun"},
        Lacking{"DpmSolverSde", R"({"_class_name": "DPMSolverSDEScheduler"})",
                "drawn with dpmpp by sde-dpmsolver++", "dpmpp",
                [](const O& o) { return o.algorithm_type == DpmAlgorithm::kSde; }},
        Lacking{"Singlestep", R"({"_class_name": "DPMSolverSinglestepScheduler"})",
                "drawn with dpmpp, which is multistep", "dpmpp"},
        Lacking{"FirstDpmSolver",
                R"({"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver"})",
                "algorithm_type is dpmsolver", "dpmpp",
                [](const O& o) { return o.algorithm_type == DpmAlgorithm::kOde; }},
        Lacking{"SdeOfThirdOrder",
                R"({"_class_name": "DPMSolverMultistepScheduler", "solver_order": 3,
                    "algorithm_type": "sde-dpmsolver++"})",
                "solver_order is 3 with sde-dpmsolver++", "dpmpp",
                [](const O& o) { return o.solver_order == 2; }},
        Lacking{"LogarithmOfTheLargeVariance", R"({"variance_type": "fixed_large_log"})",
                "variance_type is fixed_large_log", "ddpm",
                [](const O& o) { return o.variance == Variance::kFixedLarge; }},
        Lacking{"Bh1ToZero", R"({"_class_name": "UniPCMultistepScheduler", "solver_type": "bh1"})",
                "solver_type is bh1", "unipc"},
        Lacking{"LogLinear",
                R"({"_class_name": "EulerDiscreteScheduler", "interpolation_type": "log_linear"})",
                "interpolation_type is log_linear", "euler",
                [](const O& o) { return o.sigma_schedule == SigmaSchedule::kExponential; }},
        Lacking{"OffsetOfManySteps", R"({"steps_offset": 600})",
                "the default (ddpm, 1000 steps, leading spacing) cannot be drawn with: steps 1000 "
                "with timestep_spacing leading and steps_offset 600 starts at timestep 1599",
                "ddpm",
                [](const O& o) {
                  return o.timestep_spacing == TimestepSpacing::kTrailing && o.steps == 1000;
                }},
        Lacking{"NothingThatClipsIsLost",
                R"({"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": true,
                    "sigma_max": 0.001, "thresholding": true, "solver_order": 3})",
                "sigma_schedule timesteps (not karras) is taken", "dpmpp",
                [](const O& o) { return o.thresholding && o.solver_order == 3; }},
        Lacking{"FewTimesteps",
                R"({"_class_name": "UniPCMultistepScheduler", "num_train_timesteps": 4,
                    "timestep_spacing": "leading", "steps_offset": 3})",
                "the default (unipc, 4 steps, leading spacing) cannot be drawn with", "unipc",
                [](const O& o) { return o.timestep_spacing == TimestepSpacing::kTrailing; }},
        Lacking{"EpsilonOfNoSignal",
                R"({"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"})",
                "has no finite step at timestep 999", "ddpm",
                [](const O& o) { return o.timestep_spacing == TimestepSpacing::kLeading; }}),
    ::testing::PrintToStringParamName());

TEST(DefaultSamplingTest, SamplersThatCannotRunSayWhy) {
  CheckpointConfig config = SmallConfig();
  EXPECT_THAT(Resolved(config).unavailable, IsEmpty());
  // With more steps it runs.
  config.generation.emplace().options["steps"] = int64_t{4};
  EXPECT_THAT(Resolved(config).unavailable, IsEmpty());
  config.scheduler.num_train_timesteps = 1;
  config.generation->options["steps"] = int64_t{1};
  EXPECT_THAT(Resolved(config).unavailable,
              Contains(AllOf(Field(&UnavailableSampler::name, "heun"),
                             Field(&UnavailableSampler::reason,
                                   HasSubstr("num_train_timesteps is 1; sampler heun needs 2")))));
}

TEST(DefaultSamplingTest, ASamplerThatNobodyKnowsIsAMistake) {
  CheckpointConfig config = SmallConfig();
  config.generation.emplace().options["sampler"] = std::string("eular");
  EXPECT_THAT(std::string(ResolveDefaultSampling(config).status().message()),
              HasSubstr("sampler is \"eular\""));
}

TEST(DefaultSamplingTest, ANetworkOfTooFewChannelsIsRefused) {
  CheckpointConfig config = SmallConfig();
  config.scheduler.variance_type = "learned_range";
  EXPECT_THAT(std::string(ResolveDefaultSampling(config).status().message()),
              HasSubstr("out_channels is 3; with in_channels 3 and variance_type learned_range it "
                        "must be 6"));
}

}  // namespace
}  // namespace diffusiond
