// Every objective of a fixed noise schedule, trained on Gaussian data, ends at the exact denoiser
// and the exact reverse variance.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "model/diffusion/parameterization.h"
#include "tests/model/training/objectives/gaussian_table.h"

namespace diffusiond {
namespace {

constexpr int64_t kTimesteps = 4;

SchedulerConfig Config(const std::string& prediction) {
  SchedulerConfig config;
  config.num_train_timesteps = kTimesteps;
  config.trained_betas = {0.1, 0.2, 0.4, 0.7};
  config.prediction_type = prediction;
  return config;
}

std::unique_ptr<const Objective> Make(const SchedulerConfig& config, const std::string& weight) {
  ObjectiveOptions options;
  options.weight.kind = FromWord<LossWeight>(weight).value();
  options.vlb_weight = 1;
  auto objective = MakeObjective(config, options, torch::kCPU);
  EXPECT_TRUE(objective.ok()) << objective.status();
  return *std::move(objective);
}

// x0-hat = mean + signal s^2 / (alpha_bar s^2 + 1 - alpha_bar) (x_t - signal mean).
void ExpectExactDenoiser(const TableNetwork& table, const SchedulerConfig& config,
                         const std::string& what, int64_t first_timestep = 0) {
  const auto schedule = NoiseSchedule::Create(config);
  ASSERT_TRUE(schedule.ok());
  for (int64_t t = first_timestep; t < kTimesteps; ++t) {
    const double alpha_bar = schedule->alpha_bar(t), signal = std::sqrt(alpha_bar);
    const Parameterization p =
        Parameterize(*ParsePredictionType(config.prediction_type), alpha_bar);
    for (size_t pixel = 0; pixel < kGaussianPixels; ++pixel) {
      const double s2 = kPixelDeviations[pixel] * kPixelDeviations[pixel];
      const double slope = signal * s2 / (alpha_bar * s2 + 1 - alpha_bar);
      const double offset = kPixelMeans[pixel] * (1 - slope * signal);
      const int64_t at = static_cast<int64_t>(pixel);
      EXPECT_NEAR(p.x0_x + p.x0_f * table.slope[t][at].item<double>(), slope, 2e-3)
          << what << " timestep " << t << " pixel " << pixel;
      EXPECT_NEAR(p.x0_f * table.offset[t][at].item<double>(), offset, 2e-3)
          << what << " timestep " << t << " pixel " << pixel;
    }
  }
}

TEST(GaussianMinimiserTest, EveryTargetAndWeightEndsAtTheExactDenoiser) {
  const DeviceBatch batch = GaussianBatch(kTimesteps);
  struct Case {
    const char *prediction, *weight;
  };
  for (const Case& c : {Case{"epsilon", "unit"},
                        {"sample", "unit"},
                        {"v_prediction", "unit"},
                        {"score", "unit"},
                        {"v_prediction", "simple"},
                        {"epsilon", "bound"},
                        {"sample", "vdm"},
                        {"v_prediction", "min_snr"}}) {
    const SchedulerConfig config = Config(c.prediction);
    const auto objective = Make(config, c.weight);
    const TableNetwork table(kTimesteps);
    Minimise({table.slope, table.offset}, 250, 0.3,
             [&] { return objective->LossPerImage(table.Function(), batch).mean(); });
    ExpectExactDenoiser(table, config, std::string(c.prediction) + " " + c.weight);
  }
}

// Var[x_{t-1} | x_t], which is what p's variance should be where its mean is right.
double ExactLogVariance(const VariationalBound& bound, int64_t t, double deviation) {
  const double before = bound.alpha_bar(t - 1), alpha = bound.alpha_bar(t) / before;
  const double variance = before * deviation * deviation + 1 - before;
  return std::log(variance * (1 - alpha) / (alpha * variance + 1 - alpha));
}

// By the hybrid, whose variance sees a mean that is held fixed, and by the bound as a whole. The
// step to bytes is left out: this data is not of bytes.
TEST(GaussianMinimiserTest, ALearnedVarianceEndsAtTheExactOne) {
  DeviceBatch batch = GaussianBatch(kTimesteps);
  const torch::Tensor rows = batch.timesteps.gt(0).nonzero().squeeze(1);
  for (torch::Tensor* part : {&batch.x0, &batch.eps, &batch.timesteps, &batch.labels}) {
    *part = part->index_select(0, rows);
  }
  for (const std::string weight : {"simple", "bound"}) {
    SchedulerConfig config = Config("epsilon");
    config.variance_type = "learned_range";
    const auto objective = Make(config, weight);
    const TableNetwork table(kTimesteps);
    Minimise(table.parameters(), 400, 0.2,
             [&] { return objective->LossPerImage(table.Function(true), batch).mean(); });
    ExpectExactDenoiser(table, config, weight, /*first_timestep=*/1);
    const VariationalBound bound(NoiseSchedule::Create(config)->betas(),
                                 ReverseVariance::kLearnedRange);
    for (int64_t t = 1; t < kTimesteps; ++t) {
      const VariationalBound::Step& step = bound.step(t);
      for (size_t pixel = 0; pixel < kGaussianPixels; ++pixel) {
        const double v = table.variance[t][static_cast<int64_t>(pixel)].item<double>();
        const double learned =
            step.log_posterior + (v + 1) / 2 * (step.log_beta - step.log_posterior);
        EXPECT_NEAR(learned, ExactLogVariance(bound, t, kPixelDeviations[pixel]), 3e-3)
            << weight << " timestep " << t << " pixel " << pixel;
      }
    }
  }
}

// Nichol and Dhariwal 2021, section 3.1: the bound's term of the hybrid has nothing to say about
// the mean.
TEST(GaussianMinimiserTest, TheHybridsBoundLeavesTheMeanAlone) {
  SchedulerConfig config = Config("v_prediction");
  const DeviceBatch batch = GaussianBatch(kTimesteps);
  const auto gradient = [&](bool learned) {
    config.variance_type = learned ? "learned_range" : "fixed_small";
    const TableNetwork table(kTimesteps);
    const auto objective = Make(config, "unit");
    objective->LossPerImage(table.Function(learned), batch).sum().backward();
    EXPECT_EQ(table.variance.grad().defined(), learned);
    return table.slope.grad();
  };
  EXPECT_TRUE(torch::allclose(gradient(true), gradient(false), 1e-4));
}

// The same numbers as the bound that diffusion-eval measures.
TEST(BoundTermTest, IsTheMeasuredBound) {
  SchedulerConfig config = Config("sample");
  config.variance_type = "learned_range";
  const auto objective = Make(config, "bound");
  const VariationalBound bound(NoiseSchedule::Create(config)->betas(),
                               ReverseVariance::kLearnedRange);
  torch::manual_seed(2);
  DeviceBatch batch;
  batch.timesteps = torch::arange(kTimesteps);
  batch.labels = torch::zeros({kTimesteps}, torch::kInt64);
  batch.x0 = (torch::randint(256, {kTimesteps, 1, 2, 5}) / 127.5 - 1).to(torch::kFloat32);
  batch.x0.select(0, 0).view(-1)[0] = -1;  // The outermost bins too.
  batch.x0.select(0, 0).view(-1)[1] = 1;
  batch.eps = torch::randn_like(batch.x0);
  const torch::Tensor x0_hat = (batch.x0 + 0.1 * torch::randn_like(batch.x0)).contiguous();
  const torch::Tensor v = torch::rand_like(batch.x0) * 2 - 1;
  const torch::Tensor bits = objective->LossPerImage(
      [&](const auto&, const auto&, const auto&) {
        return torch::cat({x0_hat, v}, 1);
      },
      batch);
  const auto values = [](const torch::Tensor& image) {
    const torch::Tensor flat = image.contiguous();
    return std::vector<float>(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
  };
  for (int64_t t = 0; t < kTimesteps; ++t) {
    std::vector<float> x_t(10);
    bound.Diffuse(t, values(batch.x0[t]), values(batch.eps[t]), x_t);
    EXPECT_NEAR(bits[t].item<double>() / kTimesteps,
                bound.TermBits(t, values(batch.x0[t]), x_t, values(x0_hat[t]), values(v[t])), 1e-4)
        << t;
  }
}

}  // namespace
}  // namespace diffusiond
