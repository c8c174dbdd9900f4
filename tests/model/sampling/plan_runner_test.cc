#include "model/sampling/plan_runner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "model/sampling/draw_images.h"
#include "model/sampling/row_noise.h"
#include "model/sampling/sampler.h"
#include "tests/testing/gaussian_denoiser.h"

namespace diffusiond {
namespace {

ModelSchedule LinearSchedule() {
  auto model = MakeModelSchedule(SchedulerConfig{});
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

SamplingPlan Plan(const SamplingOptions& options) {
  auto plan = CompilePlan(LinearSchedule(), options);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *plan;
}

struct RunnerOptions {
  int lanes = 1;
  GaussianDenoiser::Options denoiser;
};

std::unique_ptr<PlanRunner> Runner(const RunnerOptions& options) {
  if (options.denoiser.micro_batch == kAnyRows) {
    auto runner = PlanRunner::Create(
        std::make_unique<GaussianDenoiser>(LinearSchedule().schedule, options.denoiser),
        std::make_shared<LanePool>(options.lanes));
    EXPECT_TRUE(runner.ok()) << runner.status();
    return *std::move(runner);
  }
  std::vector<std::unique_ptr<Denoiser>> lanes;
  for (int i = 0; i < options.lanes; ++i) {
    lanes.push_back(
        std::make_unique<GaussianDenoiser>(LinearSchedule().schedule, options.denoiser));
  }
  auto runner = PlanRunner::Create(std::move(lanes));
  EXPECT_TRUE(runner.ok()) << runner.status();
  return *std::move(runner);
}

// Mean and variance of what a plan draws from the exact denoiser of N(mean, deviation^2): each row
// is then an affine map of x, so they follow without drawing anything.
std::pair<double, double> ExactMoments(const SamplingPlan& plan, double data_mean,
                                       double deviation) {
  const NoiseSchedule schedule = LinearSchedule().schedule;
  double mean = 0, variance = 1;
  for (const PlanRow& row : plan.rows) {
    const double a = schedule.alpha_bar(static_cast<int64_t>(row.timestep));
    const double gain = std::sqrt(1 - a) / (a * deviation * deviation + 1 - a);  // F = gain x + b
    const double b = -gain * std::sqrt(a) * data_mean;
    const double slope =
        row.update[0] + row.update[1] * (row.d_x + row.d_f * gain) + row.update[2] * gain;
    const double offset = row.update[1] * row.d_f * b + row.update[2] * b;
    mean = slope * mean + offset;
    variance = slope * slope * variance + row.update[3] * row.update[3];
  }
  return {mean, variance};
}

// Drawing from an exact denoiser with all T steps must give the data's own distribution.
TEST(PlanRunnerTest, ThousandStepDdpmSamplesTheDataDistribution) {
  constexpr double kMean = 0.4, kDeviation = 0.3;
  auto runner = Runner(
      {.lanes = 2,
       .denoiser = {
           .shape = {1, 20, 50}, .micro_batch = 4, .means = {kMean}, .deviation = kDeviation}});
  SamplingOptions options;
  options.clip_sample = false;
  const SamplingPlan plan = Plan(options);
  const double variance = kDeviation * kDeviation;
  const std::vector<int64_t> labels(8, 0);
  auto frames = DrawImages(plan, {.seed = 11}, labels, runner.get());
  ASSERT_TRUE(frames.ok()) << frames.status();
  double sum = 0, squares = 0, neighbours = 0;
  int64_t count = 0, pairs = 0;
  for (const Frame& frame : *frames) {
    for (size_t i = 0; i < frame.values.size(); ++i) {
      const double d = frame.values[i] - kMean;
      sum += d;
      squares += d * d;
      ++count;
      if (i + 1 < frame.values.size()) {
        neighbours += d * (frame.values[i + 1] - kMean);
        ++pairs;
      }
    }
  }
  const auto [exact_mean, exact_variance] = ExactMoments(plan, kMean, kDeviation);
  EXPECT_NEAR(exact_mean, kMean, 1e-3);
  // beta-tilde, the posterior's variance given x_0, draws too little noise: 2.5 % of the variance
  // with 1000 linear steps.
  EXPECT_NEAR(exact_variance, variance, 0.03 * variance);
  const double n = static_cast<double>(count);
  EXPECT_NEAR(kMean + sum / n, exact_mean, 5 * kDeviation / std::sqrt(n));
  EXPECT_NEAR(squares / n, exact_variance, 5 * variance * std::sqrt(2 / n));
  EXPECT_NEAR(neighbours / static_cast<double>(pairs), 0, 5 * variance / std::sqrt(n));
}

// Deterministic sampling is a map from noise to data: for Gaussians the affine one of equal
// quantiles, up to the discretisation.
TEST(PlanRunnerTest, DeterministicDdimMapsQuantiles) {
  constexpr double kMean = -0.2, kDeviation = 0.5;
  auto runner = Runner(
      {.lanes = 1,
       .denoiser = {
           .shape = {1, 4, 4}, .micro_batch = 1, .means = {kMean}, .deviation = kDeviation}});
  SamplingOptions options;
  options.sampler = "ddim";
  options.clip_sample = false;
  auto frames = DrawImages(Plan(options), {.seed = 3}, std::vector<int64_t>{0}, runner.get());
  ASSERT_TRUE(frames.ok()) << frames.status();
  std::vector<float> noise(16);
  FillRowNoise(3, 0, kInitialNoiseRow, noise);
  for (size_t i = 0; i < noise.size(); ++i) {
    EXPECT_NEAR((*frames)[0].values[i], kMean + kDeviation * noise[i], 0.02) << i;
  }
}

TEST(PlanRunnerTest, GuidanceExtrapolatesFromTheNullClass) {
  auto runner = Runner(
      {.lanes = 1,
       .denoiser = {.shape = {1, 2, 2}, .micro_batch = 2, .means = {0.5, -0.5}, .deviation = 0.1}});
  SamplingOptions options;
  options.sampler = "ddim";
  options.clip_sample = false;
  const SamplingPlan plan = Plan(options);
  // eps is linear in the mean, so guidance s towards mean a from b samples mean b + s (a - b).
  auto frames = DrawImages(plan, {.seed = 5, .null_label = 1, .guidance = {.scale = 1.5}},
                           std::vector<int64_t>{0}, runner.get());
  ASSERT_TRUE(frames.ok()) << frames.status();
  double mean = 0;
  for (float value : (*frames)[0].values) mean += value / 4;
  EXPECT_NEAR(mean, 1.0, 0.2);
}

TEST(PlanRunnerTest, GuidanceActsAtItsNoiseLevelsOnly) {
  const RunnerOptions options = {
      .denoiser = {.shape = {1, 2, 2}, .micro_batch = 2, .means = {0.5, -0.5}, .deviation = 0.1}};
  SamplingOptions sampling;
  sampling.sampler = "ddim";
  sampling.steps = 20;
  sampling.clip_sample = false;
  const SamplingPlan plan = Plan(sampling);
  const auto draw = [&](const Guidance& guidance) {
    auto runner = Runner(options);
    auto frames = DrawImages(plan, {.seed = 5, .null_label = 1, .guidance = guidance},
                             std::vector<int64_t>{0}, runner.get());
    EXPECT_TRUE(frames.ok()) << frames.status();
    return (*frames)[0].values;
  };
  const double first = Sigma(plan.rows.front()), last = Sigma(plan.rows.back());
  EXPECT_NEAR(Sigma(plan.rows[0]), std::sqrt(1 / LinearSchedule().schedule.alpha_bar(950) - 1),
              1e-9);
  const auto everywhere = draw({.scale = 3});
  EXPECT_EQ(draw({.scale = 3, .sigma_min = last, .sigma_max = first}), everywhere);
  EXPECT_EQ(draw({.scale = 3, .sigma_min = first * 1.01}), draw({}));
  EXPECT_EQ(draw({.scale = 3, .sigma_max = last * 0.99}), draw({}));
  const auto inside = draw({.scale = 3, .sigma_min = 0.2, .sigma_max = 2});
  EXPECT_NE(inside, everywhere);
  EXPECT_NE(inside, draw({}));
  const Guidance limited = {.scale = 3, .sigma_min = 0.2, .sigma_max = 2};
  for (const PlanRow& row : plan.rows) {
    EXPECT_EQ(NetworkPasses(limited, row), Sigma(row) >= 0.2 && Sigma(row) <= 2 ? 2 : 1);
  }
}

TEST(GuideTest, RescalesToTheDeviationOfTheUnguided) {
  const std::vector<float> f_class = {1, 2, 3, 6}, f_null = {0, 1, 4, -1};
  const auto deviation = [](const std::vector<float>& values) {
    double sum = 0, squares = 0;
    for (float value : values) sum += value, squares += value * value;
    return std::sqrt(squares / 4 - sum * sum / 16);
  };
  std::vector<float> plain = f_class, all = f_class, half = f_class;
  Guide({.scale = 4}, f_null, plain);
  EXPECT_EQ(plain, (std::vector<float>{4, 5, 0, 27}));
  Guide({.scale = 4, .rescale = 1}, f_null, all);
  EXPECT_NEAR(deviation(all), deviation(f_class), 1e-6);
  Guide({.scale = 4, .rescale = 0.5}, f_null, half);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(half[i], (plain[i] + all[i]) / 2, 1e-6);
}

// Every task of a mixed batch must come out as it does alone.
class MixedBatchTest : public testing::TestWithParam<int> {};

TEST_P(MixedBatchTest, EqualsEachTaskAlone) {
  const RunnerOptions options = {
      .lanes = 2,
      .denoiser = {
          .shape = {1, 3, 3}, .micro_batch = GetParam(), .means = {0.5, -0.5}, .deviation = 0.3}};
  SamplingOptions ddpm, ddim;
  ddpm.steps = 7;
  ddim.sampler = "ddim";
  ddim.steps = 5;
  ddim.eta = 0.5;
  const SamplingPlan plans[] = {Plan(ddpm), Plan(ddim)};
  const auto task = [&](int i, std::span<const float> before) {
    return PlanTask{.plan = &plans[i % 2],
                    .seed = static_cast<uint64_t>(i / 3),
                    .image_index = static_cast<uint32_t>(i),
                    .label = i % 2,
                    .null_label = 1,
                    .guidance = {.scale = i % 3 == 0 ? 2.0 : 1.0},
                    .before = before,
                    .after = {},
                    .clean = {},
                    .status = {}};
  };
  constexpr int kTasks = 7;
  std::vector<std::vector<float>> together(kTasks), alone(kTasks);
  auto runner = Runner(options);
  // Task i starts at step i: the batch's members are at different rows all the time.
  for (int step = 0; step < 20; ++step) {
    std::vector<PlanTask> batch;
    for (int i = 0; i < kTasks; ++i) {
      PlanTask t = task(i, together[static_cast<size_t>(i)]);
      t.row = step - i;
      if (t.row >= 0 && t.row < static_cast<int>(t.plan->rows.size())) batch.push_back(t);
    }
    ASSERT_TRUE(runner->Step(batch).ok());
    for (PlanTask& t : batch) together[t.image_index] = std::move(t.after);
  }
  for (int i = 0; i < kTasks; ++i) {
    auto solo = Runner(options);
    std::vector<float>& registers = alone[static_cast<size_t>(i)];
    PlanTask t = task(i, {});
    for (t.row = 0; t.row < static_cast<int>(t.plan->rows.size()); ++t.row) {
      t.before = registers;
      ASSERT_TRUE(solo->Step(std::span(&t, 1)).ok());
      registers = std::move(t.after);
    }
    EXPECT_EQ(together[static_cast<size_t>(i)], alone[static_cast<size_t>(i)]) << "task " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(MicroBatches, MixedBatchTest, testing::Values(1, 2, 3, kAnyRows));

TEST(PlanRunnerTest, ADenoiserOfAnyRowsIsAskedOnceAStepAndNotPadded) {
  const GaussianDenoiser::Options options = {.shape = {1, 2, 2}, .micro_batch = kAnyRows};
  auto denoiser = std::make_unique<GaussianDenoiser>(LinearSchedule().schedule, options);
  const GaussianDenoiser& asked = *denoiser;
  auto runner = PlanRunner::Create(std::move(denoiser), std::make_shared<LanePool>(3));
  ASSERT_TRUE(runner.ok()) << runner.status();
  EXPECT_EQ((*runner)->micro_batch(), kAnyRows);
  EXPECT_EQ((*runner)->capacity(), asked.capacity()) << "it knows its threads";
  SamplingOptions ddim;
  ddim.sampler = "ddim";
  ddim.steps = 5;
  const SamplingPlan plan = Plan(ddim);
  std::vector<PlanTask> tasks(7);
  for (PlanTask& task : tasks) task.plan = &plan;
  ASSERT_TRUE((*runner)->Step(tasks).ok());
  EXPECT_EQ(asked.calls(), 1);
  for (const PlanTask& task : tasks) EXPECT_TRUE(task.status.ok()) << task.status;
}

TEST(PlanRunnerTest, DenoisersOfFixedAndOfAnyRowsAreNotTakenForEachOther) {
  const auto denoiser = [](int micro_batch) {
    return std::make_unique<GaussianDenoiser>(
        LinearSchedule().schedule,
        GaussianDenoiser::Options{.shape = {1, 2, 2}, .micro_batch = micro_batch});
  };
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(denoiser(kAnyRows));
  EXPECT_EQ(PlanRunner::Create(std::move(lanes)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(PlanRunner::Create(denoiser(2), std::make_shared<LanePool>(1)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

class NanForLabelDenoiser : public GaussianDenoiser {
 public:
  using GaussianDenoiser::GaussianDenoiser;
  absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                       std::span<const int64_t> labels, std::span<float> f) override {
    absl::Status status = GaussianDenoiser::Predict(x, timesteps, labels, f);
    const size_t n = f.size() / labels.size();
    for (size_t row = 0; row < labels.size(); ++row) {
      if (labels[row] == 1) f[row * n] = std::numeric_limits<float>::quiet_NaN();
    }
    return status;
  }
};

TEST(PlanRunnerTest, NonFiniteOutputFailsItsTaskAlone) {
  GaussianDenoiser::Options options = {.shape = {1, 2, 2}, .micro_batch = 2, .means = {0, 0}};
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::make_unique<NanForLabelDenoiser>(LinearSchedule().schedule, options));
  auto runner = PlanRunner::Create(std::move(lanes));
  ASSERT_TRUE(runner.ok());
  SamplingOptions sampling;
  sampling.steps = 2;
  const SamplingPlan plan = Plan(sampling);
  std::vector<PlanTask> tasks;
  for (int64_t label : {0, 1}) {
    tasks.push_back({.plan = &plan,
                     .seed = 77,
                     .label = label,
                     .before = {},
                     .after = {},
                     .clean = {},
                     .status = {}});
  }
  ASSERT_TRUE((*runner)->Step(tasks).ok());
  EXPECT_TRUE(tasks[0].status.ok());
  EXPECT_EQ(tasks[1].status.code(), absl::StatusCode::kInternal);
  EXPECT_NE(tasks[1].status.message().find("timestep 500 of seed 77"), absl::string_view::npos)
      << tasks[1].status;
}

class FailingDenoiser : public GaussianDenoiser {
 public:
  using GaussianDenoiser::GaussianDenoiser;
  absl::Status Predict(std::span<const float>, std::span<const float>, std::span<const int64_t>,
                       std::span<float>) override {
    return absl::InternalError("device lost");
  }
};

TEST(PlanRunnerTest, ADeviceFailureIsTheCallersToHear) {
  GaussianDenoiser::Options options = {.shape = {1, 2, 2}, .micro_batch = 1};
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::make_unique<FailingDenoiser>(LinearSchedule().schedule, options));
  auto runner = PlanRunner::Create(std::move(lanes));
  ASSERT_TRUE(runner.ok());
  const SamplingPlan plan = Plan({});
  std::vector<float> registers = {1, 2, 3, 4};
  PlanTask task = {.plan = &plan, .before = registers, .after = {}, .clean = {}, .status = {}};
  EXPECT_EQ((*runner)->Step(std::span(&task, 1)).message(), "device lost");
}

}  // namespace
}  // namespace diffusiond
