#include "model/training/objectives/objective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "model/diffusion/parameterization.h"
#include "model/sampling/network_row.h"
#include "model/sampling/sampler.h"

namespace diffusiond {
namespace {

SchedulerConfig Predicting(const std::string& prediction) {
  SchedulerConfig config;
  config.prediction_type = prediction;
  return config;
}

std::unique_ptr<const Objective> Make(const SchedulerConfig& config,
                                      const std::string& weight = "unit") {
  ObjectiveOptions options;
  options.weight.kind = FromWord<LossWeight>(weight).value();
  auto objective = MakeObjective(config, options, torch::kCPU);
  EXPECT_TRUE(objective.ok()) << objective.status();
  return *std::move(objective);
}

DeviceBatch RandomBatch(std::vector<int64_t> timesteps) {
  torch::manual_seed(5);
  const int64_t count = static_cast<int64_t>(timesteps.size());
  DeviceBatch batch;
  batch.x0 = torch::rand({count, 1, 4, 4}) * 2 - 1;
  batch.eps = torch::randn({count, 1, 4, 4});
  batch.timesteps = torch::tensor(timesteps, torch::kInt64);
  batch.labels = torch::zeros({count}, torch::kInt64);
  return batch;
}

// A network that predicts zero has the mean square of its target as loss.
TEST(ObjectiveTest, LossOfAZeroPredictionIsTheTargetsMeanSquare) {
  const std::vector<int64_t> timesteps = {0, 500, 999};
  const DeviceBatch batch = RandomBatch(timesteps);
  const auto schedule = NoiseSchedule::Create(SchedulerConfig{});
  ASSERT_TRUE(schedule.ok());
  for (const std::string type : {"epsilon", "sample", "v_prediction", "score"}) {
    const torch::Tensor loss = Make(Predicting(type))
                                   ->LossPerImage([](const auto& x, const auto&,
                                                     const auto&) { return torch::zeros_like(x); },
                                                  batch);
    for (int64_t i = 0; i < 3; ++i) {
      const double a = schedule->alpha_bar(timesteps[static_cast<size_t>(i)]);
      const torch::Tensor x0 = batch.x0[i], eps = batch.eps[i];
      torch::Tensor target = eps;  // The score's error is weighted to be epsilon's.
      if (type == "sample") target = x0;
      if (type == "v_prediction") target = std::sqrt(a) * eps - std::sqrt(1 - a) * x0;
      EXPECT_NEAR(loss[i].item<double>(), target.square().mean().item<double>(), 1e-5) << type;
    }
  }
}

// One x0-hat, x_t -> a_t tanh(b_t x_t), said in each of the four ways: its loss and the gradient of
// a and b are the same.
TEST(ObjectiveTest, TargetsAreEquivalentUpToWeights) {
  const DeviceBatch batch = RandomBatch({1, 20, 300, 700, 999});
  const auto schedule = NoiseSchedule::Create(SchedulerConfig{});
  ASSERT_TRUE(schedule.ok());
  for (const std::string weight : {"simple", "bound", "vdm", "min_snr"}) {
    torch::Tensor expected_loss, expected_gradient;
    for (const std::string type : {"sample", "epsilon", "v_prediction", "score"}) {
      const torch::Tensor parameters =
          torch::linspace(0.2, 0.9, 2000).view({2, 1000}).set_requires_grad(true);
      const NetworkFunction network = [&](const torch::Tensor& x, const torch::Tensor& t,
                                          const torch::Tensor&) {
        const torch::Tensor of_t = parameters.index_select(1, t).view({2, -1, 1, 1, 1});
        const torch::Tensor x0_hat = of_t[0] * torch::tanh(of_t[1] * x);
        std::vector<double> from_x, from_x0;  // F = (x0_hat - x0_x x) / x0_f.
        for (int64_t i = 0; i < t.numel(); ++i) {
          const Parameterization p =
              Parameterize(*ParsePredictionType(type), schedule->alpha_bar(t[i].item<int64_t>()));
          from_x.push_back(-p.x0_x / p.x0_f);
          from_x0.push_back(1 / p.x0_f);
        }
        const auto column = [](const std::vector<double>& values) {
          return torch::tensor(values, torch::kFloat64).view({-1, 1, 1, 1});
        };
        return column(from_x) * x + column(from_x0) * x0_hat;
      };
      const torch::Tensor loss = Make(Predicting(type), weight)->LossPerImage(network, batch);
      loss.sum().backward();
      if (type == "sample") {
        expected_loss = loss.detach();
        expected_gradient = parameters.grad();
        EXPECT_GT(expected_gradient.abs().min().item<double>() +
                      expected_gradient.abs().max().item<double>(),
                  0);
        continue;
      }
      EXPECT_TRUE(torch::allclose(loss, expected_loss, 2e-3)) << weight << " " << type << "\n"
                                                              << loss << expected_loss;
      EXPECT_TRUE(torch::allclose(parameters.grad(), expected_gradient, 5e-3, 1e-6))
          << weight << " " << type;
    }
  }
}

// What samplers tell is what it is trained, and measured, by.
TEST(ObjectiveTest, AModelThatIsToldTheLogarithmOfSigmaIsToldIt) {
  SchedulerConfig config = Predicting("v_prediction");
  const std::vector<int64_t> timesteps = {0, 500, 999};
  const auto told = [&] {
    std::vector<double> levels;
    Make(config)->LossPerImage(
        [&](const torch::Tensor& x, const torch::Tensor& t, const torch::Tensor&) {
          for (int64_t i = 0; i < t.numel(); ++i) levels.push_back(t[i].item<double>());
          return torch::zeros_like(x);
        },
        RandomBatch(timesteps));
    return levels;
  };
  EXPECT_EQ(told(), (std::vector<double>{0, 500, 999}));
  config.solver.timestep_type = "continuous";
  const std::vector<double> levels = told();
  const auto model = MakeModelSchedule(config);
  ASSERT_TRUE(model.ok()) << model.status();
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const PlanRow row =
        VariancePreservingRow(*model, SamplingOptions(), model->schedule.alpha_bar(timesteps[i]),
                              static_cast<double>(timesteps[i]));
    EXPECT_NEAR(levels[i], row.timestep, 1e-6);
  }
  config.rescale_betas_zero_snr = true;
  const absl::Status endless = MakeObjective(config, {}, torch::kCPU).status();
  EXPECT_EQ(endless.code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(endless.message().find("rescale_betas_zero_snr is true"), std::string::npos);
}

TEST(ObjectiveTest, ABatchOfTheTrainerKeepsItsShape) {
  TrainingBatch host;
  host.channels = 2;
  host.height = 1;
  host.width = 3;
  host.images = {1, 2, 3, 4, 5, 6};
  host.noise.resize(6);
  host.levels = {0.75};
  host.timesteps = {7};
  host.labels = {4};
  const DeviceBatch batch = ToDevice(host, torch::kCPU);
  EXPECT_EQ(batch.x0.sizes(), (std::vector<int64_t>{1, 2, 1, 3}));
  EXPECT_EQ(batch.x0[0][1][0][2].item<float>(), 6);
  EXPECT_EQ(batch.levels.item<double>(), 0.75);
  EXPECT_EQ(batch.timesteps.item<int64_t>(), 7);
}

}  // namespace
}  // namespace diffusiond
