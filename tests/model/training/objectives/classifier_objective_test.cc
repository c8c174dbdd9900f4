#include "model/training/objectives/classifier_objective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "model/diffusion/noise_schedule.h"

namespace diffusiond {
namespace {

constexpr double kMeans[2] = {-0.5, 0.3};
constexpr double kDeviation = 0.4;
constexpr int64_t kTimesteps = 3;

SchedulerConfig ShortSchedule() {
  SchedulerConfig config;
  config.num_train_timesteps = kTimesteps;
  config.beta_start = 0.2;
  config.beta_end = 0.6;
  return config;
}

DeviceBatch TwoGaussians(int64_t count) {
  torch::manual_seed(11);
  DeviceBatch batch;
  batch.labels = torch::arange(count) % 2;
  batch.timesteps = torch::div(torch::arange(count), 2, "floor") % kTimesteps;
  const torch::Tensor means = torch::tensor({kMeans[0], kMeans[1]}, torch::kFloat32);
  batch.x0 = (means.index_select(0, batch.labels) + kDeviation * torch::randn({count}))
                 .view({count, 1, 1, 1});
  batch.eps = torch::randn({count, 1, 1, 1});
  return batch;
}

// Of two Gaussians with one variance the log odds are linear in x_t, with a slope and an offset
// that are known at every timestep: what the objective's minimiser must be.
TEST(ClassifierObjectiveTest, ItsMinimiserIsTheClassProbabilityAtEveryNoiseLevel) {
  const auto objective = MakeClassifierObjective(ShortSchedule(), torch::kCPU);
  ASSERT_TRUE(objective.ok()) << objective.status();
  const DeviceBatch batch = TwoGaussians(240000);
  const torch::Tensor odds = torch::zeros({2, kTimesteps}).set_requires_grad(true);
  const NetworkFunction network = [&](const torch::Tensor& x, const torch::Tensor& t,
                                      const torch::Tensor&) {
    const torch::Tensor of_t = odds.index_select(1, t).view({2, -1, 1, 1, 1});
    const torch::Tensor log_odds = of_t[0] * x + of_t[1];
    return torch::cat({torch::zeros_like(log_odds), log_odds}, 1);
  };
  torch::optim::LBFGS optimizer(
      {odds}, torch::optim::LBFGSOptions(1).max_iter(60).line_search_fn("strong_wolfe"));
  optimizer.step([&] {
    optimizer.zero_grad();
    const torch::Tensor loss = (*objective)->LossPerImage(network, batch).mean();
    loss.backward();
    return loss;
  });
  const auto schedule = NoiseSchedule::Create(ShortSchedule());
  ASSERT_TRUE(schedule.ok());
  for (int64_t t = 0; t < kTimesteps; ++t) {
    const double a = schedule->alpha_bar(t), signal = std::sqrt(a);
    const double variance = a * kDeviation * kDeviation + 1 - a;
    const double slope = signal * (kMeans[1] - kMeans[0]) / variance;
    const double offset = a * (kMeans[0] * kMeans[0] - kMeans[1] * kMeans[1]) / (2 * variance);
    EXPECT_NEAR(odds[0][t].item<double>(), slope, 0.03) << "timestep " << t;
    EXPECT_NEAR(odds[1][t].item<double>(), offset, 0.03) << "timestep " << t;
  }
}

// It is asked beside a denoiser, by the same level.
TEST(ClassifierObjectiveTest, TellsTheLogarithmOfSigmaWhereTheModelIsToldIt) {
  SchedulerConfig config = ShortSchedule();
  config.prediction_type = "v_prediction";
  config.solver.timestep_type = "continuous";
  const auto objective = MakeClassifierObjective(config, torch::kCPU);
  ASSERT_TRUE(objective.ok()) << objective.status();
  const auto schedule = NoiseSchedule::Create(config);
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  const DeviceBatch batch = TwoGaussians(2 * kTimesteps);
  torch::Tensor told;
  (*objective)
      ->LossPerImage(
          [&](const torch::Tensor& x, const torch::Tensor& t, const torch::Tensor&) {
            told = t;
            return torch::cat({x, x}, 1);
          },
          batch);
  for (int64_t i = 0; i < told.numel(); ++i) {
    const double a = schedule->alpha_bar(batch.timesteps[i].item<int64_t>());
    EXPECT_NEAR(told[i].item<double>(), std::log((1 - a) / a) / 8, 1e-6);
  }
  config.rescale_betas_zero_snr = true;
  EXPECT_EQ(MakeClassifierObjective(config, torch::kCPU).status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST(ClassifierObjectiveTest, IsTheNegativeLogProbabilityOfTheImagesLabel) {
  const auto objective = MakeClassifierObjective(ShortSchedule(), torch::kCPU);
  ASSERT_TRUE(objective.ok()) << objective.status();
  const DeviceBatch batch = TwoGaussians(4);
  const torch::Tensor loss =
      (*objective)
          ->LossPerImage(
              [](const torch::Tensor& x, const torch::Tensor&, const torch::Tensor&) {
                return torch::log(torch::tensor({0.2f, 0.3f, 0.5f}))
                    .view({1, 3, 1, 1})
                    .expand({x.size(0), 3, 1, 1});
              },
              batch);
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(loss[i].item<double>(), -std::log(i % 2 == 0 ? 0.2 : 0.3), 1e-6);
  }
}

}  // namespace
}  // namespace diffusiond
