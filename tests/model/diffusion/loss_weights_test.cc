#include "model/diffusion/loss_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "model/diffusion/parameterization.h"

namespace diffusiond {
namespace {

constexpr PredictionType kPredictions[] = {PredictionType::kEpsilon, PredictionType::kSample,
                                           PredictionType::kVelocity, PredictionType::kScore};

NoiseSchedule Schedule(const std::string& beta_schedule = "linear", bool zero_snr = false) {
  SchedulerConfig config;
  config.beta_schedule = beta_schedule;
  config.rescale_betas_zero_snr = zero_snr;
  auto schedule = NoiseSchedule::Create(config);
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  return *schedule;
}

std::vector<double> Weights(const NoiseSchedule& schedule, PredictionType prediction,
                            const std::string& name,
                            ReverseVariance variance = ReverseVariance::kFixedSmall) {
  auto weights = LossWeights(schedule, prediction, variance,
                             {.kind = FromWord<LossWeight>(name).value(), .min_snr_gamma = 5});
  EXPECT_TRUE(weights.ok()) << weights.status();
  return *weights;
}

std::vector<double> AlphaBars(const NoiseSchedule& schedule) {
  return {schedule.alphas_cumprod().begin(), schedule.alphas_cumprod().end()};
}

void ExpectNear(double actual, double expected, const std::string& what,
                double relative_error = 1e-9) {
  EXPECT_NEAR(actual, expected, relative_error * std::abs(expected)) << what;
}

// Of the float32 table's 1 - alpha_bar, and of the differences of its SNR.
constexpr double kTableError = 2e-3;

TEST(LossWeightsTest, AreThePapersForEachPrediction) {
  const NoiseSchedule schedule = Schedule();
  const auto alpha_bars = AlphaBars(schedule);
  for (const size_t t : {0, 1, 300, 999}) {
    const double snr = alpha_bars[t] / (1 - alpha_bars[t]), least = std::min(snr, 5.0);
    struct Case {
      const char* weight;
      PredictionType prediction;
      double expected;
    };
    for (const Case& c : {Case{"unit", PredictionType::kEpsilon, 1},
                          {"unit", PredictionType::kSample, 1},
                          {"unit", PredictionType::kVelocity, 1},
                          {"unit", PredictionType::kScore, 1 - alpha_bars[t]},
                          {"simple", PredictionType::kEpsilon, 1},
                          {"simple", PredictionType::kSample, snr},
                          {"simple", PredictionType::kVelocity, alpha_bars[t]},
                          {"min_snr", PredictionType::kEpsilon, least / snr},
                          {"min_snr", PredictionType::kSample, least},
                          {"min_snr", PredictionType::kVelocity, least / (snr + 1)}}) {
      ExpectNear(Weights(schedule, c.prediction, c.weight)[t], c.expected, c.weight);
    }
  }
}

TEST(LossWeightsTest, TheBoundIsHoEtAlsEquation12) {
  const NoiseSchedule schedule = Schedule("squaredcos_cap_v2");
  const auto alpha_bars = AlphaBars(schedule);
  for (const bool large : {false, true}) {
    const auto weights =
        Weights(schedule, PredictionType::kEpsilon, "bound",
                large ? ReverseVariance::kFixedLarge : ReverseVariance::kFixedSmall);
    for (size_t t = 0; t < weights.size(); ++t) {
      const double beta = schedule.betas()[t];
      const size_t at = std::max<size_t>(t, 1);  // The decoder has the variance of t = 1.
      double variance = static_cast<double>(schedule.betas()[at]) * (1 - alpha_bars[at - 1]) /
                        (1 - alpha_bars[at]);
      if (large && t > 0) variance = beta;
      ExpectNear(weights[t],
                 1000 * std::numbers::log2e * beta * beta /
                     (2 * variance * (1 - beta) * (1 - alpha_bars[t])),
                 std::to_string(t), kTableError);
    }
  }
}

// Kingma et al. 2021, appendix E: the same term in two notations.
TEST(LossWeightsTest, VdmsDifferencesOfSnrAreTheBoundWithTheSmallVariance) {
  const NoiseSchedule schedule = Schedule();
  const auto alpha_bars = AlphaBars(schedule);
  const auto vdm = Weights(schedule, PredictionType::kSample, "vdm", ReverseVariance::kFixedLarge);
  EXPECT_EQ(vdm, Weights(schedule, PredictionType::kSample, "bound"));
  for (size_t t = 1; t < vdm.size(); ++t) {
    const double before = alpha_bars[t - 1] / (1 - alpha_bars[t - 1]);
    const double after = alpha_bars[t] / (1 - alpha_bars[t]);
    ExpectNear(vdm[t], 1000 * std::numbers::log2e * (before - after) / 2, std::to_string(t),
               20 * kTableError);
  }
}

TEST(LossWeightsTest, OneErrorHasOneLossWhateverIsPredicted) {
  const NoiseSchedule schedule = Schedule();
  const auto alpha_bars = AlphaBars(schedule);
  for (const std::string name : {"simple", "bound", "vdm", "min_snr"}) {
    for (const size_t t : {0, 10, 500, 999}) {
      const double x0_error = 0.3;
      const double expected = Weights(schedule, PredictionType::kSample, name)[t] * 0.09;
      for (const PredictionType prediction : kPredictions) {
        const double error = x0_error / Parameterize(prediction, alpha_bars[t]).x0_f;
        ExpectNear(Weights(schedule, prediction, name)[t] * error * error, expected, name);
      }
    }
  }
}

// The terms of the bound itself, less what a perfect network would leave.
TEST(LossWeightsTest, TheBoundsTermsGrowWithTheErrorByTheWeight) {
  const NoiseSchedule schedule = Schedule();
  for (const ReverseVariance variance :
       {ReverseVariance::kFixedSmall, ReverseVariance::kFixedLarge}) {
    const VariationalBound bound(schedule.betas(), variance);
    const auto weights = Weights(schedule, PredictionType::kSample, "bound", variance);
    const float x0 = 0.25f, eps = -0.7f, x0_hat = 0.5f;
    float x_t = 0;
    for (const int64_t t : {1, 40, 999}) {
      bound.Diffuse(t, {&x0, 1}, {&eps, 1}, {&x_t, 1});
      const double growth = bound.TermBits(t, {&x0, 1}, {&x_t, 1}, {&x0_hat, 1}) -
                            bound.TermBits(t, {&x0, 1}, {&x_t, 1}, {&x0, 1});
      EXPECT_NEAR(growth * 1000 / weights[static_cast<size_t>(t)], 0.0625, 1e-4) << t;
    }
  }
}

TEST(LossWeightsTest, WhereNothingIsLeftOfTheImageOnlySomeWeightsExist) {
  const NoiseSchedule schedule = Schedule("linear", /*zero_snr=*/true);
  for (const std::string name : {"unit", "simple", "bound", "min_snr"}) {
    EXPECT_EQ(Weights(schedule, PredictionType::kVelocity, name).size(), 1000u) << name;
  }
  const auto status = LossWeights(schedule, PredictionType::kEpsilon, ReverseVariance::kFixedSmall,
                                  {.kind = LossWeight::kBound, .min_snr_gamma = 5})
                          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("timestep 999"), std::string::npos) << status;
}

TEST(LossWeightsTest, GammasOutOfRangeAreRefused) {
  EXPECT_NE(Validate(LossWeighting{.kind = LossWeight::kMinSnr, .min_snr_gamma = 0})
                .message()
                .find("min_snr_gamma is 0"),
            std::string::npos);
}

}  // namespace
}  // namespace diffusiond
