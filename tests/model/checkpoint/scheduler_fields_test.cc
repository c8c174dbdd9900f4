// No field of a scheduler's file that changes the picture is dropped in silence.
#include "model/checkpoint/scheduler_fields.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

std::vector<std::string> WarningsOf(const Json& scheduler) {
  std::vector<std::string> warnings;
  const auto config = ParseSchedulerConfig(scheduler.dump(), &warnings);
  EXPECT_TRUE(config.ok()) << config.status();
  return warnings;
}

// A value of each field that is not its default in any class, so that reading it shows.
const Json& UnusualValues() {
  static const Json& values = *new Json{{"num_train_timesteps", 500},
                                        {"prediction_type", "v_prediction"},
                                        {"variance_type", "learned"},
                                        {"beta_start", 0.002},
                                        {"beta_end", 0.03},
                                        {"beta_schedule", "scaled_linear"},
                                        {"trained_betas", nullptr},
                                        {"predict_epsilon", false},
                                        {"clip_sample", nullptr},
                                        {"clip_sample_range", 2.5},
                                        {"thresholding", true},
                                        {"dynamic_thresholding_ratio", 0.5},
                                        {"sample_max_value", 1.5},
                                        {"timestep_spacing", "trailing"},
                                        {"steps_offset", 3},
                                        {"rescale_betas_zero_snr", true},
                                        {"set_alpha_to_one", nullptr},
                                        {"skip_prk_steps", true},
                                        {"solver_order", 3},
                                        {"solver_type", "heun"},
                                        {"algorithm_type", "dpmsolver"},
                                        {"lower_order_final", nullptr},
                                        {"euler_at_final", true},
                                        {"final_sigmas_type", "sigma_min"},
                                        {"lambda_min_clipped", -5.1},
                                        {"predict_x0", false},
                                        {"disable_corrector", {0, 1}},
                                        {"use_karras_sigmas", true},
                                        {"use_exponential_sigmas", true},
                                        {"use_beta_sigmas", true},
                                        {"use_lu_lambdas", true},
                                        {"sigma_min", 0.03},
                                        {"sigma_max", 50},
                                        {"interpolation_type", "log_linear"},
                                        {"timestep_type", "continuous"},
                                        {"sigma_data", 0.25},
                                        {"rho", 5},
                                        {"sigma_schedule", "exponential"},
                                        {"flow_shift", 3},
                                        {"use_dynamic_shifting", true},
                                        {"time_shift_type", "linear"},
                                        {"noise_sampler_seed", 1},
                                        {"predictor_order", 3},
                                        {"corrector_order", 3},
                                        {"tau_func", "f"},
                                        {"tensor_format", "np"},
                                        {"timestep_values", {1}},
                                        {"solver_p", nullptr},
                                        {"use_flow_sigmas", nullptr}};
  return values;
}

constexpr const char* kAllClasses[] = {"DDPMScheduler",
                                       "DDPMParallelScheduler",
                                       "DDIMScheduler",
                                       "DDIMParallelScheduler",
                                       "DDIMInverseScheduler",
                                       "PNDMScheduler",
                                       "DEISMultistepScheduler",
                                       "DPMSolverMultistepScheduler",
                                       "DPMSolverSinglestepScheduler",
                                       "DPMSolverSDEScheduler",
                                       "UniPCMultistepScheduler",
                                       "SASolverScheduler",
                                       "EulerDiscreteScheduler",
                                       "EulerAncestralDiscreteScheduler",
                                       "HeunDiscreteScheduler",
                                       "LMSDiscreteScheduler",
                                       "KDPM2DiscreteScheduler",
                                       "KDPM2AncestralDiscreteScheduler",
                                       "EDMEulerScheduler"};

TEST(SchedulerFieldsTest, AFieldThatIsReadActsInTheClassesThatHaveItAndInNoOther) {
  for (const char* class_name : kAllClasses) {
    const SchedulerConfig defaults = SchedulerDefaults(class_name);
    for (const SchedulerField& field : SchedulerFields()) {
      SCOPED_TRACE(std::string(class_name) + " " + field.name);
      const Json& unusual = UnusualValues().at(field.name);
      if (unusual.is_null()) continue;
      const Json file = {{"_class_name", class_name}, {field.name, unusual}};
      const auto config = ParseSchedulerConfig(file.dump());
      ASSERT_TRUE(config.ok()) << config.status();
      const bool acts = field.use == FieldUse::kRead && ClassHasField(class_name, field);
      EXPECT_EQ(*config != defaults, acts);
    }
    // Those whose unusual value depends on the class.
    for (const auto& [field, value] :
         {std::pair<const char*, bool>{"clip_sample", !defaults.clip_sample},
          {"set_alpha_to_one", !defaults.set_alpha_to_one},
          {"lower_order_final", !defaults.solver.lower_order_final}}) {
      const auto config =
          ParseSchedulerConfig(Json{{"_class_name", class_name}, {field, value}}.dump());
      ASSERT_TRUE(config.ok()) << config.status();
      EXPECT_EQ(*config != defaults, ClassHasField(class_name, *FindSchedulerField(field)))
          << class_name << " " << field;
    }
  }
}

TEST(SchedulerFieldsTest, WhatIsReadSurvivesARoundTripInEveryClass) {
  for (const char* class_name : kAllClasses) {
    Json file = {{"_class_name", class_name}};
    for (const auto& [name, value] : UnusualValues().items()) {
      if (name.find("use_") != 0 && name != "predict_epsilon") file[name] = value;
    }
    file["use_karras_sigmas"] = true;
    if (std::string(class_name) == "EDMEulerScheduler") file["sigma_max"] = 70;
    const auto config = ParseSchedulerConfig(file.dump());
    ASSERT_TRUE(config.ok()) << class_name << config.status();
    EXPECT_EQ(*ParseSchedulerConfig(*FormatSchedulerConfig(*config)), *config) << class_name;
  }
}

TEST(SchedulerFieldsTest, AFieldThatNobodyKnowsIsWarnedOf) {
  EXPECT_THAT(WarningsOf({{"beta_scheduler", "linear"}}),
              ElementsAre(HasSubstr("no scheduler knows the field 'beta_scheduler'")));
  EXPECT_THAT(WarningsOf({{"_note", 1}, {"beta_scheduler", nullptr}}), IsEmpty());
  // As in most files of Stable Diffusion's family.
  EXPECT_THAT(WarningsOf({{"_class_name", "EulerDiscreteScheduler"},
                          {"clip_sample", false},
                          {"set_alpha_to_one", false},
                          {"skip_prk_steps", true}}),
              IsEmpty());
}

TEST(SchedulerFieldsTest, WhatOldFilesSayOfThePredictionIsKept) {
  EXPECT_EQ(ParseSchedulerConfig(R"({"predict_epsilon": false})")->prediction_type, "sample");
  EXPECT_EQ(ParseSchedulerConfig(R"({"predict_epsilon": true})")->prediction_type, "epsilon");
  EXPECT_EQ(ParseSchedulerConfig(R"({"predict_epsilon": false, "prediction_type": "epsilon"})")
                ->prediction_type,
            "epsilon");
  EXPECT_THAT(WarningsOf({{"predict_epsilon", false}}),
              ElementsAre(HasSubstr("predict_epsilon is false")));
}

TEST(SchedulerFieldsTest, WhatDiffusersRefusesOfDeisIsRefused) {
  EXPECT_TRUE(ParseSchedulerConfig(
                  R"({"_class_name": "DEISMultistepScheduler", "algorithm_type": "dpmsolver++"})")
                  .ok());
  EXPECT_THAT(std::string(ParseSchedulerConfig(R"({"_class_name": "DEISMultistepScheduler",
                                                   "algorithm_type": "sde-dpmsolver++"})")
                              .status()
                              .message()),
              HasSubstr("algorithm_type: expected deis"));
}

// By diffusers' own function Lu's lambdas take no notice of them.
TEST(SchedulerFieldsTest, LuLambdasHaveNoEndsOfTheirOwn) {
  const auto config = ParseSchedulerConfig(
      R"({"_class_name": "DPMSolverMultistepScheduler", "use_lu_lambdas": true, "sigma_min": 3})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->solver.sigma_min.has_value());
}

TEST(SchedulerFieldsTest, AnInfinityThatMeansSomethingIsNotTakenForNone) {
  EXPECT_FALSE(ParseSchedulerConfig(R"({"_class_name": "DPMSolverMultistepScheduler",
                                        "lambda_min_clipped": Infinity})")
                   .ok());
}

TEST(SchedulerFieldsTest, ThePipelinesClassGoesBeforeTheFiles) {
  std::vector<std::string> warnings;
  const auto config =
      ParseSchedulerConfig(R"({"_class_name": "DDPMScheduler"})", &warnings, "DDIMScheduler");
  EXPECT_EQ(config->class_name, "DDIMScheduler");
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("model_index.json says 'DDIMScheduler'")));
}

TEST(SchedulerFieldsTest, WhatAFileAsksToLeaveUnsetIsLeftUnset) {
  const auto config =
      ParseSchedulerConfig(R"({"_use_default_values": ["beta_end"], "beta_end": 0.5})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->beta_end, 0.02);
}

// The guide's table, as the code has it.
std::string MarkdownTable() {
  std::string table = "| field | classes | here | |\n|---|---|---|---|\n";
  for (const SchedulerField& field : SchedulerFields()) {
    const char* const use = field.use == FieldUse::kRead      ? "acts"
                            : field.use == FieldUse::kNothing ? "changes nothing"
                                                              : "refused unless null or false";
    const std::string classes = absl::string_view(field.classes) == "*" ? "all" : field.classes;
    absl::StrAppend(&table, "| `", field.name, "` | ", classes, " | ", use, " | ", field.note,
                    " |\n");
  }
  return table;
}

TEST(SchedulerFieldsTest, TheGuideHasTheTable) {
  EXPECT_THAT(ReadWholeFile("model/checkpoint/FORMAT.md"), HasSubstr(MarkdownTable()));
}

}  // namespace
}  // namespace diffusiond
