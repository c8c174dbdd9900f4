#include "model/checkpoint/scheduler_config_json.h"

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/json_fault.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

TEST(SchedulerConfigJsonTest, WritesTheVeryFilesOfDiffusers) {
  for (const auto& golden : GoldenCheckpoints(ShippedGoldenDirectory())) {
    const auto path = golden / "scheduler/scheduler_config.json";
    if (!std::filesystem::exists(path)) continue;
    const std::string text = ReadWholeFile(path);
    const absl::StatusOr<SchedulerConfig> config = ParseSchedulerConfig(text);
    ASSERT_TRUE(config.ok()) << path << config.status();
    EXPECT_EQ(Json::parse(*FormatSchedulerConfig(*config)), Json::parse(text)) << path;
  }
}

TEST(SchedulerConfigJsonTest, WritesTheFieldsOfEitherClassThatDiffusersWrites) {
  for (const char* family : {"ddpm", "ddim"}) {
    const Json list = Json::parse(
        ReadWholeFile(ShippedGoldenDirectory() / "scheduler" / (family + std::string(".json"))));
    for (const Json& golden : list.at("cases")) {
      const Json& expected = golden.at("config");
      const absl::StatusOr<SchedulerConfig> config = ParseSchedulerConfig(expected.dump());
      ASSERT_TRUE(config.ok()) << golden.at("name") << config.status();
      EXPECT_EQ(Json::parse(*FormatSchedulerConfig(*config)), expected) << golden.at("name");
    }
  }
}

TEST(SchedulerConfigJsonTest, ShortOldFilesTakeTheDefaults) {
  const absl::StatusOr<SchedulerConfig> config = ParseSchedulerConfig(
      ReadWholeFile(ShippedGoldenDirectory() / "hub/ddpm-church-256/scheduler_config.json"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(*config, SchedulerConfig());
}

TEST(SchedulerConfigJsonTest, OtherClassesHaveTheirOwnDefaults) {
  const absl::StatusOr<SchedulerConfig> config = ParseSchedulerConfig(
      R"({"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear",
          "beta_start": 0.00085, "beta_end": 0.012, "interpolation_type": "linear",
          "sigma_min": null, "variance_type": null, "timestep_spacing": "linspace"})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->class_name, "EulerDiscreteScheduler");
  EXPECT_EQ(config->beta_schedule, "scaled_linear");
  EXPECT_EQ(config->variance_type, "fixed_small");
  EXPECT_FALSE(config->clip_sample) << "the class has no such field";
  EXPECT_EQ(*ParseSchedulerConfig(*FormatSchedulerConfig(*config)), *config);
}

TEST(SchedulerConfigJsonTest, SolversSurviveARoundTripWithTheInfinityThatPythonWrites) {
  const absl::StatusOr<SchedulerConfig> config = ParseSchedulerConfig(
      R"({"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity,
          "solver_order": 3, "solver_type": "heun", "algorithm_type": "sde-dpmsolver++",
          "lower_order_final": false, "euler_at_final": true, "use_lu_lambdas": true,
          "final_sigmas_type": "sigma_min", "_note": "-Infinity \" -Infinity"})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->timestep_spacing, "linspace");
  EXPECT_EQ(config->solver.solver_order, 3);
  EXPECT_EQ(config->solver.solver_type, "heun");
  EXPECT_EQ(config->solver.algorithm_type, "sde-dpmsolver++");
  EXPECT_FALSE(config->solver.lower_order_final);
  EXPECT_TRUE(config->solver.euler_at_final);
  EXPECT_EQ(config->solver.sigma_schedule, "exponential");
  EXPECT_EQ(config->solver.final_sigmas_type, "sigma_min");
  EXPECT_EQ(config->solver.lambda_min_clipped, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(*ParseSchedulerConfig(*FormatSchedulerConfig(*config)), *config);
}

TEST(SchedulerConfigJsonTest, EdmHasSigmasInPlaceOfBetas) {
  const absl::StatusOr<SchedulerConfig> config = ParseSchedulerConfig(
      R"({"_class_name": "EDMEulerScheduler", "sigma_min": 0.01, "sigma_data": 0.25,
          "sigma_schedule": "exponential", "prediction_type": "v_prediction"})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->is_edm());
  EXPECT_EQ(config->edm, (EdmConfig{.sigma_min = 0.01, .sigma_data = 0.25}));
  EXPECT_EQ(config->solver.sigma_schedule, "exponential");
  EXPECT_EQ(*ParseSchedulerConfig(*FormatSchedulerConfig(*config)), *config);

  ExpectRefused<SchedulerConfig>(
      ParseSchedulerConfig, Json::parse(*FormatSchedulerConfig(*config)),
      {{R"({"sigma_min": 0})", "sigma_min is 0, expected 1e-06 to 1e+06"},
       {R"({"sigma_max": 0.01})", "sigma_max is 0.01, expected above sigma_min = 0.01"},
       {R"({"sigma_max": 1e308})", "sigma_max is 1e+308, expected 1e-06 to 1e+06"},
       {R"({"sigma_data": -1})", "sigma_data is -1"},
       {R"({"sigma_data": 1e-300})", "sigma_data is 1e-300, expected 1e-06 to 1e+06"},
       {R"({"rho": 0})", "rho is 0, expected 0.1 to 1000"},
       {R"({"rho": 1e-300})", "rho is 1e-300, expected 0.1 to 1000"},
       {R"({"sigma_schedule": "beta"})", "sigma_schedule is 'beta', allowed: karras, exponential"},
       {R"({"prediction_type": "sample"})",
        "prediction_type is 'sample', allowed: epsilon, v_prediction (in a model of EDM)"}});
}

TEST(SchedulerConfigJsonTest, TheVarianceThatTheNetworkGivesSurvivesInFilesOfAnyClass) {
  SchedulerConfig config;
  config.class_name = "DDIMScheduler";
  config.variance_type = "fixed_large";
  config.num_train_timesteps = 2;
  config.trained_betas = {0.1, 0.7};
  EXPECT_EQ(*ParseSchedulerConfig(*FormatSchedulerConfig(config)), config);
}

TEST(SchedulerConfigJsonTest, RefusesWhatItCannotRunAndNamesTheField) {
  ExpectRefused<SchedulerConfig>(
      ParseSchedulerConfig, Json::parse(*FormatSchedulerConfig(SchedulerConfig())),
      {{R"({"_class_name": "ScoreSdeVeScheduler"})",
        "_class_name is 'ScoreSdeVeScheduler', allowed"},
       {R"({"num_train_timesteps": 0})", "num_train_timesteps is 0, expected 1 to"},
       {R"({"num_train_timesteps": 1000000000000})", "num_train_timesteps is 1e+12"},
       {R"({"beta_start": -0.1})", "beta_start is -0.1, expected 0 to 1"},
       {R"({"beta_end": 1.5})", "beta_end is 1.5, expected 0 to 1"},
       {R"({"beta_start": 0.5})", "beta_start is 0.5, expected at most beta_end = 0.02"},
       {R"({"beta_schedule": "cosine"})", "beta_schedule is 'cosine', allowed: linear"},
       {R"({"trained_betas": [0.1]})", "trained_betas has 1 entries, expected"},
       {R"({"trained_betas": [0.1, 2], "num_train_timesteps": 2})", "trained_betas[1] is 2"},
       {R"({"trained_betas": "none"})", "trained_betas: expected a list of numbers"},
       {R"({"variance_type": "fixed"})", "variance_type is 'fixed', allowed: fixed_small"},
       {R"({"prediction_type": "flow"})", "prediction_type is 'flow', allowed: epsilon"},
       {R"({"clip_sample": "yes"})", "clip_sample: expected true or false"},
       {R"({"clip_sample_range": 0})", "clip_sample_range is 0, expected 1e-06 to 1e+06"},
       {R"({"clip_sample_range": 1e-300})", "clip_sample_range is 1e-300, expected 1e-06 to"},
       {R"({"clip_sample_range": 1e308})", "clip_sample_range is 1e+308, expected 1e-06 to"},
       {R"({"sample_max_value": 0.5, "thresholding": true})",
        "sample_max_value is 0.5, expected 1 to 1e+06"},
       {R"({"dynamic_thresholding_ratio": 2})", "dynamic_thresholding_ratio is 2"},
       {R"({"sample_max_value": -1})", "sample_max_value is -1"},
       {R"({"timestep_spacing": "even"})", "timestep_spacing is 'even', allowed: leading"},
       {R"({"steps_offset": -1})", "steps_offset is -1, expected 0 to 1000"}});
  ExpectRefused<SchedulerConfig>(
      ParseSchedulerConfig, {{"_class_name", "UniPCMultistepScheduler"}},
      {{R"({"solver_order": 4})", "solver_order is 4, expected 1 to 3"},
       {R"({"solver_type": "rk4"})", "solver_type is 'rk4', allowed: midpoint"},
       {R"({"final_sigmas_type": "one"})", "final_sigmas_type is 'one', allowed: zero"},
       {R"({"disable_corrector": "all"})", "disable_corrector: expected a list of"},
       {R"({"solver_p": {"_class_name": "DDIMScheduler"}})", "solver_p: expected none, or false"},
       {R"({"use_flow_sigmas": true})", "use_flow_sigmas: expected none, or false"},
       {R"({"use_karras_sigmas": true, "use_beta_sigmas": true})",
        "use_beta_sigmas: expected false, as use_karras_sigmas is true"},
       {R"({"sigma_min": 0, "use_karras_sigmas": true})", "sigma_min is 0, expected 1e-06 to"},
       {R"({"sigma_min": 3, "sigma_max": 2, "use_karras_sigmas": true})",
        "sigma_max is 2, expected 3 to"}});
  ExpectRefused<SchedulerConfig>(
      ParseSchedulerConfig, {{"_class_name", "DPMSolverMultistepScheduler"}},
      {{R"({"lambda_min_clipped": 1e308})", "lambda_min_clipped is 1e+308, expected -inf to 20"}});
  ExpectRefused<SchedulerConfig>(
      ParseSchedulerConfig, {{"_class_name", "EulerDiscreteScheduler"}},
      {{R"({"interpolation_type": "cubic"})", "interpolation_type is 'cubic', allowed: linear"},
       {R"({"timestep_type": "whole"})", "timestep_type is 'whole', allowed: discrete"}});
}

}  // namespace
}  // namespace diffusiond
