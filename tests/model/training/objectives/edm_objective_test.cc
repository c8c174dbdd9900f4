#include "model/training/objectives/edm_objective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>

#include "model/sampling/network_row.h"
#include "model/sampling/sampler.h"
#include "tests/model/training/objectives/gaussian_table.h"

namespace diffusiond {
namespace {

constexpr int64_t kLevels = 5;

SchedulerConfig Config(const std::string& prediction) {
  SchedulerConfig config = SchedulerDefaults("EDMEulerScheduler");
  config.prediction_type = prediction;
  return config;
}

std::unique_ptr<const Objective> Make(const SchedulerConfig& config) {
  auto objective = MakeObjective(config, ObjectiveOptions(), torch::kCPU);
  EXPECT_TRUE(objective.ok()) << objective.status();
  return *std::move(objective);
}

// The samplers read a trained network by a row of a plan: read so, it is the exact denoiser
// D = mean + s^2 / (s^2 + sigma^2) (x - mean).
TEST(EdmObjectiveTest, EndsAtTheExactDenoiserAsSamplersReadIt) {
  const DeviceBatch batch = GaussianBatch(kLevels);
  for (const std::string prediction : {"epsilon", "v_prediction"}) {
    const SchedulerConfig config = Config(prediction);
    const auto objective = Make(config);
    const TableNetwork table(kLevels);
    torch::Tensor asked;  // 1/4 ln sigma of each row.
    Minimise({table.slope, table.offset}, 250, 0.3, [&] {
      return objective
          ->LossPerImage(
              [&](const torch::Tensor& x, const torch::Tensor& t, const torch::Tensor& labels) {
                asked = t;
                return table.Function()(x, batch.timesteps, labels);
              },
              batch)
          .mean();
    });
    const auto model = MakeModelSchedule(config);
    ASSERT_TRUE(model.ok()) << model.status();
    for (int64_t level = 0; level < kLevels; ++level) {
      const double told = asked.index({batch.timesteps.eq(level)})[0].item<double>();
      const double sigma = std::exp(4 * told);
      const PlanRow row = VarianceExplodingRow(*model, SamplingOptions(), sigma, told);
      for (size_t pixel = 0; pixel < kGaussianPixels; ++pixel) {
        const double s2 = kPixelDeviations[pixel] * kPixelDeviations[pixel];
        const int64_t at = static_cast<int64_t>(pixel);
        const double slope = row.d_x + row.d_f * row.c_in * table.slope[level][at].item<double>();
        const double expected = s2 / (s2 + sigma * sigma);
        EXPECT_NEAR(slope, expected, 2e-3) << prediction << " sigma " << sigma;
        EXPECT_NEAR(row.d_f * table.offset[level][at].item<double>(),
                    kPixelMeans[pixel] * (1 - expected), 2e-3)
            << prediction << " sigma " << sigma;
      }
    }
  }
}

TEST(EdmObjectiveTest, SigmasAreTheQuantilesOfTheirDistribution) {
  ObjectiveOptions options;
  options.edm_mean = -0.5;
  options.edm_deviation = 2;
  const auto objective = MakeObjective(Config("epsilon"), options, torch::kCPU);
  ASSERT_TRUE(objective.ok()) << objective.status();
  DeviceBatch batch;
  batch.levels = torch::tensor({0.0, 0.5, 0.8413447460685429}, torch::kFloat64);
  batch.x0 = batch.eps = torch::ones({3, 1, 1, 1});
  batch.labels = torch::zeros({3}, torch::kInt64);
  torch::Tensor asked;
  const torch::Tensor loss =
      (*objective)
          ->LossPerImage(
              [&](const torch::Tensor& x, const torch::Tensor& t, const torch::Tensor&) {
                asked = t;
                return torch::zeros_like(x);
              },
              batch);
  EXPECT_TRUE(torch::isfinite(loss).all().item<bool>());
  EXPECT_NEAR(4 * asked[1].item<double>(), -0.5, 1e-6);
  EXPECT_NEAR(4 * asked[2].item<double>(), 1.5, 1e-6);
}

TEST(EdmObjectiveTest, WhatItDoesNotGoWithIsNamed) {
  struct Case {
    void (*change)(ObjectiveOptions*);
    const char* expected;
  };
  for (const Case& c :
       {Case{[](ObjectiveOptions* o) { o->weight.kind = LossWeight::kMinSnr; },
             "loss_weight is min_snr"},
        {[](ObjectiveOptions* o) { o->timestep_sampling = TimestepSampling::kImportance; },
         "timestep_sampling"},
        {[](ObjectiveOptions* o) { o->learn_schedule = true; }, "learn_schedule is true"},
        {[](ObjectiveOptions* o) { o->edm_deviation = 0; }, "edm_deviation is 0"},
        {[](ObjectiveOptions* o) { o->edm_mean = 100; }, "edm_mean is 100"}}) {
    ObjectiveOptions options;
    c.change(&options);
    const absl::Status status = Validate(options, Config("epsilon"));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(c.expected), std::string::npos) << status;
  }
}

}  // namespace
}  // namespace diffusiond
