// Networks that predict the variance of DDPM's steps beside the mean.
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/sampling/continuous_schedule.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/plan_update.h"
#include "model/sampling/sampler.h"
#include "tests/testing/gaussian_denoiser.h"
#include "tests/testing/plan_moments.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

ModelSchedule Model(const std::string& variance_type) {
  SchedulerConfig config;
  config.variance_type = variance_type;
  return *MakeModelSchedule(config);
}

SamplingPlan Plan(const ModelSchedule& model, Variance variance, int64_t steps) {
  SamplingOptions options;
  options.variance = variance;
  options.steps = steps;
  options.clip_sample = false;
  return *CompilePlan(model, options);
}

TEST(ScaleRowNoiseTest, TakesGForTheLogarithmOrForTheVarianceItself) {
  PlanRow row;
  const std::vector<float> g = {0, 4};
  std::vector<float> z = {1, -2};
  ASSERT_TRUE(ScaleRowNoise(row, g, z).ok());
  EXPECT_EQ(z, (std::vector<float>{1, -2})) << "a row that does not ask";
  row.noise_scale = NoiseScale::kVariance;
  ASSERT_TRUE(ScaleRowNoise(row, g, z).ok());
  EXPECT_EQ(z, (std::vector<float>{0, -4}));
  row.noise_scale = NoiseScale::kLogVariance;
  row.log_variance = 2 * std::log(3);
  row.log_variance_g = std::log(2) / 2;
  z = {1, -2};
  ASSERT_TRUE(ScaleRowNoise(row, g, z).ok());
  EXPECT_FLOAT_EQ(z[0], 3);
  EXPECT_FLOAT_EQ(z[1], -12);
  EXPECT_TRUE(ScaleRowNoise(row, {}, {}).ok()) << "a row without noise";
}

TEST(ScaleRowNoiseTest, WhatIsNoVarianceIsAFault) {
  PlanRow row;
  row.timestep = 7;
  row.noise_scale = NoiseScale::kVariance;
  std::vector<float> z = {1};
  for (const float g : {-1.0f, std::numeric_limits<float>::quiet_NaN()}) {
    const absl::Status status = ScaleRowNoise(row, {&g, 1}, z);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()), HasSubstr("at timestep 7"));
  }
  EXPECT_EQ(ScaleRowNoise(row, {}, z).code(), absl::StatusCode::kInternal);
}

// On Gaussian data the variance of x_{t-1} given x_t is known: beta-tilde plus what the mean leaves
// open of x_0. With it DDPM has the exact marginal after every step, however few there are; and it
// lies between beta-tilde and beta wherever the data are no wider than the noise.
TEST(LearnedVarianceTest, TheBestVarianceIsWithinTheRangeAndMakesFewStepsExact) {
  const ModelSchedule model = Model("learned_range");
  const ContinuousSchedule schedule(model.schedule);
  for (const double deviation : {0.05, 0.5, 1.0}) {
    const GaussianData data{.mean = 0.3, .deviation = deviation};
    SamplingPlan plan = Plan(model, Variance::kLearnedRange, 10);
    for (PlanRow& row : plan.rows) {
      if (!row.draws_noise) continue;
      ASSERT_EQ(row.noise_scale, NoiseScale::kLogVariance);
      ASSERT_EQ(row.update[3], 1);
      const double alpha_bar = LevelOf(row);
      const double alpha_bar_next = schedule.alpha_bar(row.next_timestep);
      const double beta_tilde =
          (1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next);
      const double variance_of_x0 =
          deviation * deviation * (1 - alpha_bar) / Marginal(data, alpha_bar).variance;
      const double best = beta_tilde + row.update[1] * row.update[1] * variance_of_x0;
      const double g = (std::log(best) - row.log_variance) / row.log_variance_g;
      EXPECT_GE(g, -1 - 1e-4);
      EXPECT_LE(g, 1 + 1e-4);
      row.update[3] = std::exp(0.5 * (row.log_variance + row.log_variance_g * g));
    }
    const std::vector<Moments> moments = PlanMoments(plan, data);
    for (size_t i = 0; i + 1 < plan.rows.size(); ++i) {
      const Moments exact = Marginal(data, schedule.alpha_bar(plan.rows[i].next_timestep));
      // The start is N(0, 1) rather than the marginal at the first timestep.
      EXPECT_NEAR(moments[i].mean, exact.mean, 2e-2) << i;
      EXPECT_NEAR(moments[i].variance, exact.variance, 1e-3) << i;
    }
  }
}

TEST(LearnedVarianceTest, OnlyAModelThatLearnedItTakesIt) {
  SamplingOptions options;
  options.variance = Variance::kLearned;
  EXPECT_TRUE(CompilePlan(Model("learned"), options).ok());
  EXPECT_THAT(std::string(CompilePlan(Model("learned_range"), options).status().message()),
              HasSubstr("variance is \"learned\"; it must be fixed_small, fixed_small_log, "
                        "fixed_large or zero, or "
                        "learned_range as this model learned it"));
  EXPECT_THAT(std::string(CompilePlan(Model("fixed_small"), options).status().message()),
              HasSubstr("as this model did not learn one"));
  options.variance = Variance::kFixedLarge;
  EXPECT_TRUE(CompilePlan(Model("learned"), options).ok());
}

// ------------------------------------------------------------------------------------------------
// Through the executor.

// The Gaussian's F, then a G that is the label.
class VarianceDenoiser : public GaussianDenoiser {
 public:
  using GaussianDenoiser::GaussianDenoiser;

  int output_channels() const override { return 2 * shape().channels; }

  absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                       std::span<const int64_t> labels, std::span<float> f) override {
    std::vector<float> first(x.size());
    if (absl::Status status = GaussianDenoiser::Predict(x, timesteps, labels, first);
        !status.ok()) {
      return status;
    }
    const size_t n = static_cast<size_t>(shape().elements());
    for (size_t row = 0; row < labels.size(); ++row) {
      std::copy_n(&first[row * n], n, &f[2 * row * n]);
      std::fill_n(&f[(2 * row + 1) * n], n, static_cast<float>(labels[row]));
    }
    return absl::OkStatus();
  }
};

template <typename AnyDenoiser>
std::vector<std::vector<float>> Draw(const SamplingPlan& plan, std::vector<int64_t> labels,
                                     double guidance_scale) {
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::make_unique<AnyDenoiser>(
      Model("fixed_small").schedule,
      GaussianDenoiser::Options{.shape = {2, 3, 3}, .micro_batch = 3, .means = {0, 0.1, 0.2}}));
  const auto runner = *PlanRunner::Create(std::move(lanes));
  std::vector<std::vector<float>> registers(labels.size());
  for (size_t row = 0; row < plan.rows.size(); ++row) {
    std::vector<PlanTask> tasks(labels.size());
    for (size_t i = 0; i < tasks.size(); ++i) {
      tasks[i].plan = &plan;
      tasks[i].row = static_cast<int>(row);
      tasks[i].seed = 9;
      tasks[i].label = labels[i];
      tasks[i].guidance.scale = guidance_scale;
      tasks[i].before = registers[i];
    }
    EXPECT_TRUE(runner->Step(tasks).ok());
    for (size_t i = 0; i < tasks.size(); ++i) {
      EXPECT_TRUE(tasks[i].status.ok()) << tasks[i].status;
      registers[i] = std::move(tasks[i].after);
    }
  }
  return registers;
}

TEST(LearnedVarianceTest, AsksForNothingMoreWhereTheVarianceIsFixed) {
  const SamplingPlan plan = Plan(Model("learned_range"), Variance::kFixedLarge, 5);
  for (const double scale : {1.0, 3.0}) {
    EXPECT_EQ(Draw<VarianceDenoiser>(plan, {0, 1, 2}, scale),
              Draw<GaussianDenoiser>(plan, {0, 1, 2}, scale));
  }
}

TEST(LearnedVarianceTest, EachImageTakesItsOwnAndTheConditionalOneUnderGuidance) {
  const ModelSchedule model = Model("learned_range");
  const SamplingPlan learned = Plan(model, Variance::kLearnedRange, 5);
  // G is 1 for label 1: beta itself.
  const SamplingPlan large = Plan(model, Variance::kFixedLarge, 5);
  for (const double scale : {1.0, 3.0}) {
    const auto drawn = Draw<VarianceDenoiser>(learned, {2, 1, 0}, scale);
    const auto expected = Draw<GaussianDenoiser>(large, {2, 1, 0}, scale);
    for (size_t i = 0; i < expected[1].size(); ++i) {
      EXPECT_NEAR(drawn[1][i], expected[1][i], 1e-5) << i;
    }
    EXPECT_NE(drawn[0], expected[0]);
    EXPECT_NE(drawn[2], expected[2]);
  }
}

}  // namespace
}  // namespace diffusiond
