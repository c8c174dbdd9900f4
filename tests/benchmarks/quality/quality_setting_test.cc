#include "tests/benchmarks/quality/quality_setting.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

TEST(QualitySettingTest, ChangesOnlyTheOptionsItNames) {
  SamplingOptions model;
  model.timestep_spacing = TimestepSpacing::kTrailing;
  SamplingOptions expected = model;
  expected.sampler = "ddim";
  expected.eta = 1;
  const auto options = ParseQualitySetting("ddim:eta=1", model);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(*options, expected);
}

TEST(QualitySettingTest, NamesWhatItDoesNotKnow) {
  for (const char* text : {"ddim:foo=1", "ddim:eta", "ddim:eta=much", "dpmpp:solver_order=two"}) {
    const absl::Status status = ParseQualitySetting(text, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(text));
  }
}

TEST(QualitySettingTest, TakesTheMostStepsThatTheBudgetPays) {
  const ModelSchedule model = *MakeModelSchedule(SchedulerConfig());
  // Heun's last two steps of few are Euler's.
  const struct {
    const char* sampler;
    int budget;
    int steps;
  } kCases[] = {{"ddim", 10, 10}, {"heun", 10, 6}, {"heun", 11, 6}, {"ddim", 5000, 1000}};
  for (const auto& c : kCases) {
    SamplingOptions options;
    options.sampler = c.sampler;
    const auto plan = LargestPlan(model, options, c.budget);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(plan->steps, c.steps) << c.sampler << " " << c.budget;
    EXPECT_LE(static_cast<int>(plan->rows.size()), c.budget);
  }
}

TEST(QualitySettingTest, SaysWhenNoPlanFits) {
  const ModelSchedule model = *MakeModelSchedule(SchedulerConfig());
  SamplingOptions options;
  options.sampler = "annealed_langevin";
  EXPECT_EQ(LargestPlan(model, options, 3).status().code(), absl::StatusCode::kInvalidArgument);
  options.sampler = "none";
  EXPECT_THAT(std::string(LargestPlan(model, options, 3).status().message()),
              testing::HasSubstr("none"));
}

}  // namespace
}  // namespace diffusiond
