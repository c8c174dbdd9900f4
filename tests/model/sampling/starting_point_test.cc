// Images that start from images: SDEdit, inpainting, given noise, and morphs between seeds.
#include "model/sampling/starting_point.h"

#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/row_noise.h"
#include "model/sampling/sampler.h"
#include "tests/testing/gaussian_denoiser.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

constexpr size_t kPixels = 12;
constexpr double kMean = -0.2, kDeviation = 0.5;
constexpr NoiseKey kKey = {.seed = 3, .image_index = 1};

ModelSchedule LinearSchedule() { return MakeModelSchedule(SchedulerConfig{}).value(); }

SamplingOptions Options(const std::string& sampler, int64_t steps, double strength) {
  SamplingOptions options = ForSampler(sampler, {});
  options.steps = steps;
  options.strength = strength;
  options.clip_sample = false;
  return options;
}

std::vector<float> Noise(uint64_t seed) {
  std::vector<float> z(kPixels);
  FillRowNoise(seed, kKey.image_index, kInitialNoiseRow, z);
  return z;
}

StartingPoint::Values Ramp() {
  auto values = std::make_shared<std::vector<float>>(kPixels);
  for (size_t i = 0; i < kPixels; ++i) (*values)[i] = static_cast<float>(i) / kPixels - 0.5f;
  return values;
}

std::vector<float> Draw(const SamplingPlan& plan, const StartingPoint& start) {
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::make_unique<GaussianDenoiser>(
      LinearSchedule().schedule,
      GaussianDenoiser::Options{
          .shape = {1, 3, 4}, .micro_batch = 1, .means = {kMean}, .deviation = kDeviation}));
  auto runner = PlanRunner::Create(std::move(lanes)).value();
  PlanTask task;
  task.plan = &plan;
  task.seed = kKey.seed;
  task.image_index = kKey.image_index;
  task.start = &start;
  std::vector<float> before;
  for (size_t row = 0; row < plan.rows.size(); ++row) {
    task.row = static_cast<int>(row);
    before = std::move(task.after);
    task.before = before;
    EXPECT_TRUE(runner->Step({&task, 1}).ok());
    EXPECT_TRUE(task.status.ok()) << task.status;
  }
  task.after.resize(kPixels);
  return task.after;
}

TEST(StrengthTest, RunsTheLastStepsOfEverySampler) {
  const ModelSchedule model = LinearSchedule();
  for (const Sampler& sampler : Samplers()) {
    const auto full = CompilePlan(model, Options(sampler.name, 20, 1));
    const auto part = CompilePlan(model, Options(sampler.name, 20, 0.3));
    ASSERT_TRUE(full.ok() && part.ok()) << sampler.name << part.status();
    EXPECT_EQ(full->steps, 20) << sampler.name;
    EXPECT_EQ(part->steps, 6) << sampler.name;
    // Also where the timesteps' spacing and the first steps' order differ, it ends alike.
    EXPECT_EQ(part->rows.back().timestep, full->rows.back().timestep) << sampler.name;
    std::set<double> visited;
    for (const PlanRow& row : full->rows) visited.insert(row.timestep);
    EXPECT_TRUE(visited.contains(part->rows.front().timestep)) << sampler.name;
  }
}

TEST(StrengthTest, LeavesTheStepsOfOneStepSamplersAsTheyAre) {
  const ModelSchedule model = LinearSchedule();
  for (const char* sampler : {"ddpm", "ddim", "euler", "euler_ancestral", "reverse_sde"}) {
    const SamplingPlan full = CompilePlan(model, Options(sampler, 20, 1)).value();
    const SamplingPlan part = CompilePlan(model, Options(sampler, 20, 0.7f)).value();
    ASSERT_EQ(part.rows.size(), 14u);
    for (size_t i = 0; i < part.rows.size(); ++i) {
      const PlanRow& row = part.rows[i];
      const PlanRow& same = full.rows[i + 6];
      EXPECT_EQ(row.timestep, same.timestep) << sampler;
      EXPECT_EQ(row.update, same.update) << sampler;
      EXPECT_EQ(row.d_x, same.d_x) << sampler;
      EXPECT_EQ(row.noise, same.noise) << sampler;
    }
  }
}

TEST(StrengthTest, OutOfRangeIsRefusedByName) {
  for (const auto& [steps, strength] : std::vector<std::pair<int, double>>{
           {20, 0}, {20, -0.5}, {20, 1.5}, {20, 0.04}, {1, 0.5}, {20, std::nan("")}}) {
    for (const char* sampler : {"ddim", "heun", "dpmpp"}) {
      const auto plan = CompilePlan(LinearSchedule(), Options(sampler, steps, strength));
      EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(plan.status().message()), HasSubstr("strength is "));
    }
  }
}

// What the register stands for at row 0 says how the image is noised: for every sampler the network
// is shown the same mixture.
TEST(StartingPointTest, TheNetworkIsShownTheImageAtTheRowsNoiseLevel) {
  for (const Sampler& sampler : Samplers()) {
    const SamplingPlan plan = CompilePlan(LinearSchedule(), Options(sampler.name, 20, 0.5)).value();
    const StartingPoint start = {.image = Ramp()};
    std::vector<float> x(kPixels);
    Begin(&start, plan, kKey, x);
    const PlanRow& row = plan.rows.front();
    const double sigma = Sigma(row), signal = 1 / std::sqrt(1 + sigma * sigma);
    const std::vector<float> z = Noise(kKey.seed);
    for (size_t i = 0; i < kPixels; ++i) {
      EXPECT_NEAR(row.c_in * x[i], signal * ((*start.image)[i] + sigma * z[i]), 1e-6)
          << sampler.name;
    }
  }
}

// The probability-flow ODE keeps quantiles: of the image's mixture with noise at the start, of the
// data at the end.
TEST(StartingPointTest, DeterministicDdimKeepsTheQuantileOfTheNoisedImage) {
  const SamplingPlan plan = CompilePlan(LinearSchedule(), Options("ddim", 1000, 0.4)).value();
  const StartingPoint start = {.image = Ramp()};
  const std::vector<float> image = Draw(plan, start);
  const std::vector<float> z = Noise(kKey.seed);
  const double a = LinearSchedule().schedule.alpha_bar(399);
  for (size_t i = 0; i < kPixels; ++i) {
    const double x = std::sqrt(a) * (*start.image)[i] + std::sqrt(1 - a) * z[i];
    const double quantile =
        (x - std::sqrt(a) * kMean) / std::sqrt(a * kDeviation * kDeviation + 1 - a);
    EXPECT_NEAR(image[i], kMean + kDeviation * quantile, 0.01);
  }
}

TEST(StartingPointTest, GivenNoiseTakesTheSeedsPlace) {
  const SamplingPlan plan = CompilePlan(LinearSchedule(), Options("euler", 10, 1)).value();
  auto noise = std::make_shared<std::vector<float>>(Noise(kKey.seed));
  const std::vector<float> by_seed = Draw(plan, {});
  EXPECT_EQ(Draw(plan, {.noise = noise}), by_seed);
  noise->front() += 1;
  EXPECT_NE(Draw(plan, {.noise = noise}), by_seed);
}

TEST(StartingPointTest, AMorphGoesFromOneSeedToTheOtherAndKeepsTheNorm) {
  SamplingPlan plan = CompilePlan(LinearSchedule(), Options("ddim", 10, 1)).value();
  const auto norm = [](const std::vector<float>& values) {
    double sum = 0;
    for (float value : values) sum += static_cast<double>(value) * value;
    return std::sqrt(sum);
  };
  const auto at = [&](double part) {
    const StartingPoint start = {.morph_seed = 99, .morph = part};
    std::vector<float> x(kPixels);
    Begin(&start, plan, kKey, x);
    return x;
  };
  const std::vector<float> from = Noise(kKey.seed), to = Noise(99);
  for (size_t i = 0; i < kPixels; ++i) {
    EXPECT_NEAR(at(0)[i], from[i], 1e-6);
    EXPECT_NEAR(at(1)[i], to[i], 1e-6);
  }
  const double low = std::min(norm(from), norm(to)), high = std::max(norm(from), norm(to));
  for (double part : {0.25, 0.5, 0.75}) {
    EXPECT_GT(norm(at(part)), 0.9 * low) << "a straight line would cut the corner";
    EXPECT_LT(norm(at(part)), 1.1 * high);
  }
}

TEST(StartingPointTest, WhatIsKeptIsTheImageAndTheRestIsDrawnToIt) {
  auto keep = std::make_shared<std::vector<float>>(kPixels, 0.0f);
  for (size_t i = 0; i < kPixels / 2; ++i) (*keep)[i] = 1;
  for (const Sampler& sampler : Samplers()) {
    const SamplingPlan plan = CompilePlan(LinearSchedule(), Options(sampler.name, 25, 1)).value();
    const StartingPoint start = {.image = Ramp(), .keep = keep};
    const std::vector<float> image = Draw(plan, start);
    double squares = 0;  // Of the drawn half, from the data's mean.
    for (size_t i = 0; i < kPixels; ++i) {
      if (i < kPixels / 2) {
        EXPECT_EQ(image[i], (*start.image)[i]) << sampler.name;
      } else {
        EXPECT_NE(image[i], (*start.image)[i]) << sampler.name;
        EXPECT_NEAR(image[i], kMean, 3 * kDeviation) << sampler.name;
        squares += (image[i] - kMean) * (image[i] - kMean);
      }
    }
    // Of data's spread, but for what few steps and few pixels make of it.
    const double spread = std::sqrt(squares / (kPixels / 2.0));
    EXPECT_GT(spread, 0.4 * kDeviation) << sampler.name;
    EXPECT_LT(spread, 1.7 * kDeviation) << sampler.name;
  }
}

// Before each row the kept part has the forward process's distribution there.
TEST(StartingPointTest, WhatIsKeptIsNoisedToEachRowsLevel) {
  const SamplingPlan plan = CompilePlan(LinearSchedule(), Options("ddpm", 10, 1)).value();
  constexpr size_t kMany = 20'000;
  const StartingPoint start = {.image = std::make_shared<std::vector<float>>(kMany, 0.75f),
                               .keep = std::make_shared<std::vector<float>>(kMany, 1.0f)};
  for (const int at : {0, 5, 9}) {
    const PlanRow& row = plan.rows[static_cast<size_t>(at)];
    std::vector<float> x(kMany, 100.0f);
    KeepKnown(&start, plan, at, kKey, x);
    double sum = 0, squares = 0;
    for (float value : x) sum += value, squares += static_cast<double>(value) * value;
    const double mean = sum / kMany, deviation = std::sqrt(squares / kMany - mean * mean);
    EXPECT_NEAR(mean, 0.75 * row.signal, 0.03);
    EXPECT_NEAR(deviation, row.noise, 0.03 * row.noise);
  }
}

}  // namespace
}  // namespace diffusiond
