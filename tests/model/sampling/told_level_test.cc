// What the network is told is the noise level of what it is given: of every sampler, on every
// spacing and curve of noise levels.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/diffusion/trained_betas.h"
#include "model/sampling/continuous_schedule.h"
#include "model/sampling/sampler.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/testing/plan_moments.h"

namespace diffusiond {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Between two timesteps sigma is taken to be linear, log(sigma) or what the SDE has: they differ by
// this at most, but for the gaps before the last timesteps of cosine betas, over which sigma grows
// thirtyfold. A timestep rounded to the next whole one is wrong by up to 0.4.
double Tolerance(double timestep) { return timestep > 997 ? 0.5 : 0.05; }

double LogSigma(double alpha_bar) { return 0.5 * std::log(1 / alpha_bar - 1); }

void ExpectToldRight(const ModelSchedule& model, const SamplingOptions& options) {
  const auto plan = CompilePlan(model, options);
  // Noise levels too far apart for Langevin steps: few of them, or of a curve that has few near the
  // image.
  const bool may_refuse = options.steps < 50 || options.sigma_schedule == SigmaSchedule::kBeta;
  if (!plan.ok() && options.sampler == "annealed_langevin" && may_refuse) return;
  ASSERT_TRUE(plan.ok()) << plan.status();
  const ContinuousSchedule schedule(model.schedule);
  for (const PlanRow& row : plan->rows) {
    ASSERT_NEAR(LogSigma(schedule.alpha_bar(row.timestep)), std::log(row.noise / row.signal),
                Tolerance(row.timestep))
        << "timestep " << row.timestep;
  }
}

class ToldLevelTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ToldLevelTest, IsThatOfTheRow) {
  for (const char* beta_schedule : {"linear", "squaredcos_cap_v2"}) {
    SchedulerConfig config;
    config.beta_schedule = beta_schedule;
    const ModelSchedule model = *MakeModelSchedule(config);
    for (const TimestepSpacing spacing :
         {TimestepSpacing::kLeading, TimestepSpacing::kTrailing, TimestepSpacing::kLinspace}) {
      for (const SigmaSchedule sigmas : {SigmaSchedule::kTimesteps, SigmaSchedule::kKarras,
                                         SigmaSchedule::kExponential, SigmaSchedule::kBeta}) {
        for (const int64_t steps : {1, 2, 7, 20, 33, 150, 700, 999, 1000}) {
          SCOPED_TRACE(
              absl::StrCat(beta_schedule, " ", WordOf(spacing), " ", WordOf(sigmas), " ", steps));
          SamplingOptions options;
          options.sampler = GetParam();
          options.timestep_spacing = spacing;
          options.sigma_schedule = sigmas;
          options.steps = steps;
          ExpectToldRight(model, options);
          ModelSchedule offset = model;
          offset.steps_offset = 1;
          ExpectToldRight(offset, options);
        }
      }
    }
  }
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const Sampler& sampler : Samplers()) names.push_back(sampler.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Samplers, ToldLevelTest, ::testing::ValuesIn(Names()),
                         [](const auto& info) { return info.param; });

// ------------------------------------------------------------------------------------------------
// What a checkpoint's scheduler fixes.

std::vector<double> Sigmas(const SamplingPlan& plan) {
  std::vector<double> sigmas;
  for (const PlanRow& row : plan.rows) sigmas.push_back(Sigma(row));
  return sigmas;
}

double LeastSigma(const ModelSchedule& model) {
  return std::exp(LogSigma(model.schedule.alpha_bar(0)));
}

std::vector<double> Timesteps(const SamplingPlan& plan) {
  std::vector<double> timesteps;
  for (const PlanRow& row : plan.rows) timesteps.push_back(row.timestep);
  return timesteps;
}

TEST(ContinuousTimestepsTest, TellTheLogarithmOfSigmaBetweenTheConfigurationsEnds) {
  const auto config = ParseSchedulerConfig(
      ReadWholeFile(ShippedGoldenDirectory() / "cases/02-euler-continuous.scheduler_config.json"));
  ASSERT_TRUE(config.ok()) << config.status();
  const ModelSchedule model = *MakeModelSchedule(*config);
  SamplingOptions options = DefaultSamplingOptions(*config);
  options.steps = 4;
  const auto plan = CompilePlan(model, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Timesteps(*plan), ElementsAre(DoubleNear(1.207, 1e-3), DoubleNear(0.761, 1e-3),
                                            DoubleNear(0.162, 1e-3), DoubleNear(-0.757, 1e-3)));
  EXPECT_NEAR(Sigmas(*plan).front(), 124.9, 1e-9);
  EXPECT_NEAR(Sigmas(*plan).back(), 0.0485, 1e-9);

  for (const Sampler& sampler : Samplers()) {
    options = ForSampler(sampler.name, options);
    options.steps = 20;
    options.skip_prk_steps = true;
    const auto other = CompilePlan(model, options);
    if (!other.ok()) continue;
    for (const PlanRow& row : other->rows) {
      EXPECT_NEAR(row.timestep, 0.25 * std::log(Sigma(row)), 1e-9) << sampler.name;
    }
  }
}

TEST(ContinuousTimestepsTest, AreOfVPredictionAlone) {
  SchedulerConfig config = SchedulerDefaults("EulerDiscreteScheduler");
  config.solver.timestep_type = "continuous";
  EXPECT_FALSE(MakeModelSchedule(config)->tells_log_sigma) << "as in diffusers";
}

TEST(ContinuousTimestepsTest, HaveNoLevelOfNoiseAloneToBeMeasuredAt) {
  SchedulerConfig config = SchedulerDefaults("EulerDiscreteScheduler");
  config.prediction_type = "v_prediction";
  config.solver.timestep_type = "continuous";
  EXPECT_EQ(CheckMeasurable(config), absl::OkStatus());
  config.rescale_betas_zero_snr = true;
  EXPECT_THAT(std::string(CheckMeasurable(config).message()),
              HasSubstr("rescale_betas_zero_snr is true, expected false with timestep_type"));
  config.solver.timestep_type = "discrete";
  EXPECT_EQ(CheckMeasurable(config), absl::OkStatus());
}

TEST(SigmaEndsTest, ActOnCurvesAlone) {
  for (const char* sampler : {"euler", "heun", "dpmpp", "unipc", "deis"}) {
    SchedulerConfig config;
    config.solver.sigma_min = 0.05;
    config.solver.sigma_max = 40;
    SamplingOptions options;
    options.sampler = sampler;
    options.steps = 10;
    options.timestep_spacing = TimestepSpacing::kTrailing;
    const ModelSchedule model = *MakeModelSchedule(config);
    const ModelSchedule plain = *MakeModelSchedule(SchedulerConfig());
    EXPECT_EQ(Sigmas(*CompilePlan(model, options)), Sigmas(*CompilePlan(plain, options)));
    for (const SigmaSchedule curve :
         {SigmaSchedule::kKarras, SigmaSchedule::kExponential, SigmaSchedule::kBeta}) {
      options.sigma_schedule = curve;
      const std::vector<double> sigmas = Sigmas(*CompilePlan(model, options));
      EXPECT_NEAR(sigmas.front(), 40, 1e-9) << sampler << curve;
      EXPECT_NEAR(sigmas.back(), 0.05, 1e-9) << sampler << curve;
    }
  }
}

TEST(SigmaEndsTest, TheWrongWayRoundAreRefusedByName) {
  SchedulerConfig config;
  config.solver.sigma_max = 0.001;
  SamplingOptions options;
  options.sampler = "euler";
  options.steps = 10;
  options.sigma_schedule = SigmaSchedule::kKarras;
  const ModelSchedule model = *MakeModelSchedule(config);
  EXPECT_THAT(std::string(CompilePlan(model, options).status().message()),
              HasSubstr("sigma_max, or the highest training sigma, 0.001"));
}

// To end at the least sigma of a curve is one step fewer on it; diffusers visits it twice, and the
// last step does nothing.
TEST(SigmaEndsTest, ACurveMayEndAtItsLeastSigma) {
  for (const char* beta_schedule : {"linear", "squaredcos_cap_v2"}) {
    SchedulerConfig config;
    config.beta_schedule = beta_schedule;
    const ModelSchedule model = *MakeModelSchedule(config);
    for (const char* sampler : {"dpmpp", "unipc", "deis"}) {
      for (const SigmaSchedule curve :
           {SigmaSchedule::kKarras, SigmaSchedule::kExponential, SigmaSchedule::kBeta}) {
        for (const int64_t order : {1, 2, 3}) {
          SCOPED_TRACE(absl::StrCat(beta_schedule, " ", sampler, " ", WordOf(curve)));
          SamplingOptions options = ForSampler(sampler, {});
          options.steps = 20;
          options.solver_order = order;
          options.sigma_schedule = curve;
          options.final_sigmas_type = FinalSigmas::kSigmaMin;
          options.clip_sample = false;
          const auto exact = CompilePlan(model, options);
          ASSERT_TRUE(exact.ok()) << exact.status();
          EXPECT_EQ(exact->steps, 20);
          EXPECT_GT(Sigmas(*exact).back(), 1.001 * LeastSigma(model));
          options.arithmetic = Arithmetic::kDiffusers;
          const auto twice = CompilePlan(model, options);
          ASSERT_TRUE(twice.ok()) << twice.status();
          EXPECT_NEAR(Sigmas(*twice).back(), LeastSigma(model), 1e-12);
          if (std::string(sampler) == "unipc") continue;  // It corrects there.
          EXPECT_NEAR(twice->rows.back().update[0], 1, 1e-9);
        }
      }
    }
  }
}

TEST(BetaSigmasTest, AreQuantilesOfTheBetaDistribution) {
  SchedulerConfig config = SchedulerDefaults("EulerDiscreteScheduler");
  config.solver.sigma_min = 1;
  config.solver.sigma_max = 2;
  SamplingOptions options = DefaultSamplingOptions(config);
  options.sigma_schedule = SigmaSchedule::kBeta;
  options.steps = 5;
  // scipy.stats.beta.ppf(u, 0.6, 0.6).
  EXPECT_THAT(Sigmas(*CompilePlan(*MakeModelSchedule(config), options)),
              ElementsAre(DoubleNear(2, 1e-12), DoubleNear(1.824319621347305, 1e-12),
                          DoubleNear(1.5, 1e-12), DoubleNear(1.175680378652695, 1e-12),
                          DoubleNear(1, 1e-12)));
}

TEST(LogLinearTest, IsEvenInTheLogarithmFromEndToEndOfTheTrainingSigmas) {
  SchedulerConfig config = SchedulerDefaults("EulerDiscreteScheduler");
  config.solver.interpolation_type = "log_linear";
  const SamplingOptions options = DefaultSamplingOptions(config);
  const ModelSchedule model = *MakeModelSchedule(config);
  const std::vector<double> sigmas = Sigmas(*CompilePlan(model, options));
  EXPECT_NEAR(sigmas.front(), 157.407, 1e-3);
  EXPECT_NEAR(sigmas.back(), 0.0100005, 1e-5);
  EXPECT_NEAR(sigmas[1] / sigmas[0], sigmas[31] / sigmas[30], 1e-9);
}

// A corrected step reads the estimate before: its column is not 0.
TEST(DisableCorrectorTest, LeavesOutTheCorrectionOfTheStepsNamed) {
  SchedulerConfig config = SchedulerDefaults("UniPCMultistepScheduler");
  SamplingOptions options = DefaultSamplingOptions(config);
  options.steps = 6;
  const auto differs = [&](std::vector<int64_t> steps) {
    config.solver.disable_corrector = std::move(steps);
    const auto plan = CompilePlan(*MakeModelSchedule(config), options);
    config.solver.disable_corrector.clear();
    const auto corrected = CompilePlan(*MakeModelSchedule(config), options);
    std::vector<bool> rows;
    for (size_t i = 0; i < plan->rows.size(); ++i) {
      rows.push_back(plan->rows[i].update != corrected->rows[i].update);
    }
    return rows;
  };
  EXPECT_THAT(differs({}), ElementsAre(false, false, false, false, false, false));
  EXPECT_THAT(differs({0, 3}), ElementsAre(false, true, false, false, true, false));
}

// By diffusers, T = 1000.
TEST(NoiseScheduleTest, HasThePeersRarerBetaSchedules) {
  SchedulerConfig config;
  const auto ends = [&](const char* name) {
    config.beta_schedule = name;
    const NoiseSchedule schedule = *NoiseSchedule::Create(config);
    return std::vector<double>{std::exp(LogSigma(schedule.alpha_bar(0))),
                               std::exp(LogSigma(schedule.alpha_bar(999)))};
  };
  EXPECT_THAT(ends("exp"), ElementsAre(DoubleNear(0.109874, 1e-4), DoubleNear(403.4276, 0.1)));
  EXPECT_THAT(ends("laplace"), ElementsAre(DoubleNear(0.147006, 1e-4), DoubleNear(5.533785, 1e-3)));
}

// In float32 the first of these betas are 0 or one bit.
TEST(LearnedScheduleTest, IsDrawnWithFromTheTrainersFloorOn) {
  std::vector<double> gammas;
  for (int t = 0; t < 1000; ++t) {
    gammas.push_back(kLeastGamma + (9 - kLeastGamma) * t / 999.0);
  }
  SchedulerConfig config;
  config.trained_betas = BetasFromGammas(gammas);
  const auto model = MakeModelSchedule(config);
  ASSERT_TRUE(model.ok()) << model.status();
  for (const Sampler& sampler : Samplers()) {
    for (const int64_t steps : {20, 700, 1000}) {
      SCOPED_TRACE(sampler.name + " " + std::to_string(steps));
      SamplingOptions options = ForSampler(sampler.name, DefaultSamplingOptions(config));
      options.timestep_spacing = TimestepSpacing::kTrailing;
      options.steps = steps;
      options.clip_sample = false;
      const auto plan = CompilePlan(*model, options);
      ASSERT_TRUE(plan.ok()) << plan.status();
      ExpectToldRight(*model, options);
      const Moments drawn = PlanMoments(*plan, {.mean = 0.25, .deviation = 0.2}).back();
      EXPECT_NEAR(drawn.mean, 0.25, 0.01);
      const double few = sampler.name == "annealed_langevin" ? 0.15 : 0.06;
      EXPECT_NEAR(std::sqrt(drawn.variance), 0.2, steps == 20 ? few : 0.01);
    }
  }
}

// The crash of a model that leaves out timesteps: the last of many steps stood below 0.
TEST(LambdaMinClippedTest, NoStepLeavesTheTables) {
  SchedulerConfig config = SchedulerDefaults("DPMSolverMultistepScheduler");
  config.solver.lambda_min_clipped = -3;
  const ModelSchedule model = *MakeModelSchedule(config);
  for (const Arithmetic arithmetic : {Arithmetic::kExact, Arithmetic::kDiffusers}) {
    int compiled = 0;
    for (const TimestepSpacing spacing :
         {TimestepSpacing::kLeading, TimestepSpacing::kTrailing, TimestepSpacing::kLinspace}) {
      for (int64_t steps = 1; steps <= 1000; ++steps) {
        SamplingOptions options = DefaultSamplingOptions(config);
        options.arithmetic = arithmetic;
        options.timestep_spacing = spacing;
        options.steps = steps;
        const auto plan = CompilePlan(model, options);
        if (!plan.ok()) continue;
        ++compiled;
        for (const PlanRow& row : plan->rows) ASSERT_GE(row.timestep, 0) << spacing << steps;
      }
    }
    EXPECT_GT(compiled, 200) << arithmetic;
  }
}

}  // namespace
}  // namespace diffusiond
