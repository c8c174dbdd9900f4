#include "model/training/objectives/schedule_objective.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <memory>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "model/diffusion/level_decoder.h"
#include "model/diffusion/noise_schedule.h"
#include "model/training/objectives/monotone_schedule.h"
#include "tests/model/training/objectives/gaussian_table.h"

namespace diffusiond {
namespace {

constexpr int64_t kTimesteps = 8;
constexpr double kMean = 0.3, kDeviation = 0.3;

SchedulerConfig Config() {
  SchedulerConfig config;
  config.num_train_timesteps = kTimesteps;
  config.trained_betas = {0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7};
  return config;
}

std::unique_ptr<const Objective> Make(const SchedulerConfig& config) {
  ObjectiveOptions options;
  options.weight.kind = LossWeight::kVdm;
  options.learn_schedule = true;
  auto objective = MakeObjective(config, options, torch::kCPU);
  EXPECT_TRUE(objective.ok()) << objective.status();
  return *std::move(objective);
}

// Bytes near N(mean, deviation^2), the same for every pixel.
DeviceBatch Bytes() {
  DeviceBatch batch = GaussianBatch(kTimesteps, 16);
  const torch::Tensor z = (batch.x0.select(1, 0) - kPixelMeans[0]) / kPixelDeviations[0];
  const torch::Tensor levels = torch::round((kMean + kDeviation * z + 1) * 127.5).clamp(0, 255);
  batch.x0 = (levels / 127.5 - 1).unsqueeze(1).expand_as(batch.x0).contiguous();
  return batch;
}

// The bound in bits per dimension as a function of gamma [T] alone, with the best affine denoiser
// at each level: E[(eps - eps-hat)^2] = s^2 / (s^2 + e^gamma).
class ExactBound {
 public:
  explicit ExactBound(const torch::Tensor& x0) {
    const torch::Tensor pixels = x0.flatten().to(torch::kFloat64);
    square_ = pixels.square().mean().item<double>();
    variance_ = square_ - std::pow(pixels.mean().item<double>(), 2);
    level_shares_ = torch::bincount(torch::round((pixels + 1) * 127.5).to(torch::kInt64), {}, 256)
                        .to(torch::kFloat64) /
                    static_cast<double>(pixels.numel());
  }

  torch::Tensor Terms(const torch::Tensor& gamma) const {  // L_1 .. L_{T-1}.
    const int64_t count = gamma.numel() - 1;
    const torch::Tensor at = gamma.narrow(0, 1, count), before = gamma.narrow(0, 0, count);
    return 0.5 * std::numbers::log2e * torch::expm1(at - before) * variance_ /
           (variance_ + torch::exp(at));
  }
  torch::Tensor Total(const torch::Tensor& gamma) const {
    return Terms(gamma).sum() + std::numbers::log2e * (Prior(gamma[-1]) + Decoder(gamma[0]));
  }

 private:
  torch::Tensor Prior(const torch::Tensor& gamma) const {
    const torch::Tensor alpha_bar = torch::sigmoid(-gamma), noise = torch::sigmoid(gamma);
    return 0.5 * (noise + alpha_bar * square_ - 1 - torch::log(noise));
  }
  torch::Tensor Decoder(const torch::Tensor& gamma) const {
    const LevelDecoderNats nats = DecodeLevels(gamma.item<double>());
    const auto mean = [&](const std::array<double, kByteLevels>& of_level) {
      return level_shares_.dot(torch::tensor(at::ArrayRef<double>(of_level), torch::kFloat64));
    };
    return mean(nats.value) + mean(nats.slope) * (gamma - gamma.detach());
  }

  double square_ = 0, variance_ = 0;
  torch::Tensor level_shares_;
};

// Where end points that minimise the bound and an inner part that minimises the sum of the squares
// of its terms stand still: the optimum that the objective is to find, without its networks.
torch::Tensor BestGamma(const ExactBound& bound) {
  const torch::Tensor ends = torch::tensor({-4.0, 4.0}, torch::kFloat64).set_requires_grad(true);
  const torch::Tensor steps =
      torch::zeros({kTimesteps - 1}, torch::kFloat64).set_requires_grad(true);
  const auto gamma = [](const torch::Tensor& end, const torch::Tensor& shape) {
    return end[0] + (end[1] - end[0]) * shape;
  };
  const auto shape = [&] {
    return torch::cat({torch::zeros({1}, torch::kFloat64), torch::softmax(steps, 0).cumsum(0)});
  };
  Minimise({ends, steps}, 500, 0.15, [&] {
    const torch::Tensor now = shape();
    return bound.Total(gamma(ends, now.detach())) +
           bound.Terms(gamma(ends.detach(), now)).square().sum();
  });
  return gamma(ends, shape()).detach();
}

torch::Tensor ExportedGamma(const Objective& objective) {
  SchedulerConfig config = Config();
  EXPECT_TRUE(objective.Export(&config).ok());
  const auto schedule = NoiseSchedule::Create(config);
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  const torch::Tensor alpha_bar = torch::tensor(
      std::vector<double>(schedule->alphas_cumprod().begin(), schedule->alphas_cumprod().end()),
      torch::kFloat64);
  return torch::log((1 - alpha_bar) / alpha_bar);
}

TEST(MonotoneScheduleTest, RisesFromEndToEndWhateverItsParameters) {
  torch::manual_seed(3);
  MonotoneSchedule schedule(-9, 8);
  const torch::Tensor t = torch::linspace(0, 1, 200, torch::kFloat64);
  const torch::Tensor first = schedule.Gamma(t);
  EXPECT_LT((first - (-9 + 17 * t)).abs().max().item<double>(), 0.2);
  {
    torch::NoGradGuard no_grad;
    for (torch::Tensor& parameter : schedule.parameters()) {
      parameter.add_(torch::randn_like(parameter), 0.3);
    }
  }
  const torch::Tensor gamma = schedule.Gamma(t);
  EXPECT_NEAR(gamma[0].item<double>(), schedule.gamma_0().item<double>(), 1e-9);
  EXPECT_NEAR(gamma[-1].item<double>(), schedule.gamma_1().item<double>(), 1e-9);
  EXPECT_GT((gamma.narrow(0, 1, 199) - gamma.narrow(0, 0, 199)).min().item<double>(), 0);
  EXPECT_GT((gamma - first).abs().max().item<double>(), 0.5);
}

// With the best denoiser of the schedule as it stands at first, the loss is the bound.
TEST(ScheduleObjectiveTest, TheLossIsTheBound) {
  const DeviceBatch batch = Bytes();
  const ExactBound bound(batch.x0);
  for (const std::string type : {"epsilon", "sample", "v_prediction", "score"}) {
    SchedulerConfig config = Config();
    config.prediction_type = type;
    const auto objective = Make(config);
    const torch::Tensor gamma = ExportedGamma(*objective);
    const TableNetwork table(kTimesteps);
    Minimise({table.slope, table.offset}, 120, 0.3,
             [&] { return objective->LossPerImage(table.Function(), batch).mean(); });
    const torch::Tensor losses = objective->LossPerImage(table.Function(), batch).detach();
    // At t = 0 the objective has a term that the bound has not.
    const torch::Tensor without_first = losses.index({batch.timesteps.gt(0)}).mean();
    const double ends = (bound.Total(gamma) - bound.Terms(gamma).sum()).item<double>();
    const double expected =
        ends + bound.Terms(gamma).sum().item<double>() * kTimesteps / (kTimesteps - 1);
    EXPECT_NEAR(without_first.item<double>(), expected, 2e-3 * expected) << type;
  }
}

TEST(ScheduleObjectiveTest, EndPointsAndInnerPartEndAtTheOptimum) {
  const DeviceBatch batch = Bytes();
  const ExactBound bound(batch.x0);
  const torch::Tensor best = BestGamma(bound);
  const auto objective = Make(Config());
  const torch::Tensor start = ExportedGamma(*objective);
  const TableNetwork table(kTimesteps);
  const auto loss = [&] { return objective->LossPerImage(table.Function(), batch).mean(); };
  std::vector<torch::Tensor> parameters = {table.slope, table.offset};
  Minimise(parameters, 100, 0.3, loss);
  for (const torch::Tensor& parameter : objective->module()->parameters()) {
    parameters.push_back(parameter);
  }
  Minimise(parameters, 400, 0.03, loss);
  const torch::Tensor learned = ExportedGamma(*objective);
  const torch::Tensor difference = (learned - best).abs();
  EXPECT_LT(difference.narrow(0, 0, kTimesteps - 1).max().item<double>(), 0.05)
      << torch::stack({learned, best, start});
  EXPECT_LT(difference[-1].item<double>(), 1.5);  // The bound hardly changes there.
  const double least = bound.Total(best).item<double>();
  EXPECT_NEAR(bound.Total(learned).item<double>(), least, 1e-3);
  EXPECT_GT(bound.Total(start).item<double>(), least + 0.05);
  EXPECT_LT(bound.Terms(learned).var().item<double>(),
            0.1 * bound.Terms(start).var().item<double>());
}

// The inner parameters' gradient is that of the mean of the terms' squares, the end points' that of
// the mean: against difference quotients of the losses.
TEST(ScheduleObjectiveTest, EachPartOfTheScheduleHasItsOwnGradient) {
  DeviceBatch batch = Bytes();
  const torch::Tensor rows = batch.timesteps.gt(0).nonzero().squeeze(1);
  for (torch::Tensor* part : {&batch.x0, &batch.eps, &batch.timesteps, &batch.labels}) {
    *part = part->index_select(0, rows);
  }
  const auto objective = Make(Config());
  const NetworkFunction network = [](const torch::Tensor& x, const torch::Tensor&,
                                     const torch::Tensor&) { return 0.6 * x; };
  const NetworkFunction oracle = [&](const torch::Tensor&, const torch::Tensor&,
                                     const torch::Tensor&) { return batch.eps; };
  const auto losses = [&] { return objective->LossPerImage(network, batch); };
  const auto mean = [&] { return losses().mean().item<double>(); };
  const auto mean_square = [&] {  // Of the terms, which the oracle's loss does not have.
    const torch::Tensor terms = losses() - objective->LossPerImage(oracle, batch);
    return terms.square().mean().item<double>() / std::numbers::log2e;
  };
  losses().mean().backward();
  const auto parameters = objective->module()->named_parameters();
  torch::NoGradGuard no_grad;
  for (const std::string name : {"moved", "stretched", "w3", "b2"}) {
    const bool is_end = parameters[name].numel() == 1;
    // A part of the inner ones: all of them together change next to nothing.
    const torch::Tensor part = parameters[name].narrow(0, 0, is_end ? 1 : 300);
    const double gradient = parameters[name].grad().narrow(0, 0, part.numel()).sum().item<double>();
    constexpr double kStep = 0.01;
    const auto shifted = [&](double by) {
      part.add_(by);
      const double value = is_end ? mean() : mean_square();
      part.sub_(by);
      return value;
    };
    const double quotient = (shifted(kStep) - shifted(-kStep)) / (2 * kStep);
    EXPECT_NEAR(gradient, quotient, 0.01 * std::abs(quotient)) << name;
    EXPECT_GT(std::abs(quotient), 1e-3) << name;
  }
}

TEST(ScheduleObjectiveTest, WhatItDoesNotGoWithIsNamed) {
  ObjectiveOptions options;
  options.learn_schedule = true;
  EXPECT_NE(Validate(options, Config()).message().find("loss_weight is unit"), std::string::npos);
  options.weight.kind = LossWeight::kVdm;
  EXPECT_TRUE(Validate(options, Config()).ok());
  options.timestep_sampling = TimestepSampling::kImportance;
  EXPECT_NE(Validate(options, Config()).message().find("timestep_sampling"), std::string::npos);
  options.timestep_sampling = TimestepSampling::kStratified;
  SchedulerConfig config = Config();
  config.variance_type = "learned_range";
  EXPECT_NE(Validate(options, config).message().find("variance_type"), std::string::npos);
  config = SchedulerConfig();
  config.num_train_timesteps = 1;
  EXPECT_NE(MakeObjective(config, options, torch::kCPU).status().message().find("at least 2"),
            std::string::npos);
  config = Config();
  config.prediction_type = "v_prediction";
  config.solver.timestep_type = "continuous";
  EXPECT_NE(MakeObjective(config, options, torch::kCPU).status().message().find("timestep_type"),
            std::string::npos);
}

}  // namespace
}  // namespace diffusiond
