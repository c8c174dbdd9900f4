#include "model/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/plan_update.h"
#include "model/sampling/row_noise.h"
#include "tests/testing/gaussian_denoiser.h"
#include "tests/testing/plan_moments.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

ModelSchedule Model(SchedulerConfig config = {}) { return *MakeModelSchedule(config); }

// ------------------------------------------------------------------------------------------------
// What diffusers computes NaN or leaves its tables for.

struct Refusal {
  const char* name;
  std::function<void(SamplingOptions&)> make;
  const char* text;
  SchedulerConfig config = {};
};

std::ostream& operator<<(std::ostream& out, const Refusal& refusal) { return out << refusal.name; }

class RefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(RefusalTest, NamesTheOption) {
  SamplingOptions options;
  options.steps = 20;
  GetParam().make(options);
  const auto plan = CompilePlan(Model(GetParam().config), options);
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(plan.status().message()), HasSubstr(GetParam().text));
}

SchedulerConfig ZeroSnr() {
  SchedulerConfig config;
  config.rescale_betas_zero_snr = true;
  return config;
}

SchedulerConfig Offset2() {
  SchedulerConfig config;
  config.steps_offset = 2;
  return config;
}

// Without the timesteps of the most noise.
SchedulerConfig Clipped() {
  SchedulerConfig config;
  config.solver.lambda_min_clipped = -4.5;
  return config;
}

using O = SamplingOptions;

INSTANTIATE_TEST_SUITE_P(
    Sampler, RefusalTest,
    ::testing::Values(
        Refusal{"Unknown", [](O& o) { o.sampler = "eular"; }, "sampler is \"eular\""},
        Refusal{"NoStep", [](O& o) { o.steps = 0; }, "steps is 0; it must be 1 .. 1000"},
        Refusal{"OffsetPastTheTables", [](O& o) { o.sampler = "euler", o.steps = 1000; },
                "starts at timestep 1001; the model knows 0 .. 999", Offset2()},
        Refusal{"Bh1ToZero", [](O& o) { o.sampler = "unipc", o.solver_type = SolverType::kBh1; },
                "solver_type is \"bh1\"; with sampler unipc it needs final_sigmas_type sigma_min"},
        Refusal{"EpsilonToZero", [](O& o) { o.sampler = "unipc", o.predict_x0 = false; },
                "predict_x0 is false; with sampler unipc it needs final_sigmas_type sigma_min"},
        Refusal{"FullOrderToZero", [](O& o) { o.sampler = "unipc", o.lower_order_final = false; },
                "lower_order_final is false"},
        Refusal{"TimestepTwice",
                [](O& o) {
                  o.sampler = "dpmpp", o.steps = 1000,
                  o.timestep_spacing = TimestepSpacing::kLinspace,
                  o.arithmetic = Arithmetic::kDiffusers;
                },
                "steps 1000 with timestep_spacing linspace"},
        Refusal{"SdeOfThirdOrder",
                [](O& o) {
                  o.sampler = "dpmpp", o.solver_order = 3, o.algorithm_type = DpmAlgorithm::kSde;
                },
                "solver_order is 3; it must be 1 or 2 with algorithm_type sde-dpmsolver++"},
        Refusal{"NoiseLeftOver", [](O& o) { o.sampler = "annealed_langevin", o.steps = 3; },
                "steps 3 with langevin_steps 10 and langevin_step_size 0.2 leave a noise of"},
        Refusal{"MoreThanUsable",
                [](O& o) {
                  o.sampler = "dpmpp", o.steps = 990,
                  o.timestep_spacing = TimestepSpacing::kTrailing;
                },
                "steps is 990; it must be 1 .. ", Clipped()},
        Refusal{"BelowTheTables",
                [](O& o) {
                  o.sampler = "dpmpp", o.steps = 900,
                  o.timestep_spacing = TimestepSpacing::kTrailing,
                  o.arithmetic = Arithmetic::kDiffusers;
                },
                "ends at timestep -", Clipped()},
        Refusal{"Order4", [](O& o) { o.sampler = "dpmpp", o.solver_order = 4; },
                "solver_order: 4 is not in 1 .. 3"},
        Refusal{"AnothersSolver",
                [](O& o) { o.sampler = "dpmpp", o.solver_type = SolverType::kBh2; },
                "solver_type: \"bh2\" is not one of midpoint, heun"},
        Refusal{
            "TooFewForRungeKutta",
            [](O& o) { o.sampler = "pndm", o.steps = 3, o.arithmetic = Arithmetic::kDiffusers; },
            "steps is 3; with sampler pndm, skip_prk_steps false and arithmetic diffusers it "
            "must be 4 .. 500"},
        Refusal{
            "TooManyForHalfSteps",
            [](O& o) { o.sampler = "pndm", o.steps = 501, o.arithmetic = Arithmetic::kDiffusers; },
            "steps is 501"},
        Refusal{"ChurnNegative", [](O& o) { o.sampler = "euler", o.s_churn = -1; },
                "s_churn: -1 is not in 0 .. 1e+06"},
        Refusal{"ChurnNaN", [](O& o) { o.sampler = "euler", o.s_noise = std::nan(""); },
                "s_noise: nan is not in 0 .. 10"},
        Refusal{"NoLangevinStepSize",
                [](O& o) { o.sampler = "annealed_langevin", o.langevin_step_size = 0; },
                "langevin_step_size: 0 is not in 0 .. 2, the first excluded"},
        Refusal{"LangevinStepsNegative",
                [](O& o) { o.sampler = "annealed_langevin", o.langevin_steps = -1; },
                "langevin_steps: -1 is not in 1 .. 1000"},
        Refusal{"TooManyEvaluations",
                [](O& o) { o.sampler = "predictor_corrector", o.langevin_steps = 500; },
                "steps 20 with langevin_steps 500 is more than 10000 network evaluations"},
        Refusal{"RateOfNoSignal",
                [](O& o) {
                  o.sampler = "reverse_sde", o.timestep_spacing = TimestepSpacing::kTrailing;
                },
                "sampler reverse_sde has no finite step at timestep 999", ZeroSnr()},
        Refusal{"UnknownOdeSolver",
                [](O& o) { o.sampler = "probability_flow", o.solver_type = SolverType::kMidpoint; },
                "solver_type: \"midpoint\" is not one of heun, euler, rk4"},
        Refusal{"QuantileZero",
                [](O& o) { o.thresholding = true, o.dynamic_thresholding_ratio = 0; },
                "dynamic_thresholding_ratio: 0 is not in 0 .. 1, the first excluded"},
        Refusal{"EpsilonFromNoSignal",
                [](O& o) { o.timestep_spacing = TimestepSpacing::kTrailing; },
                "sampler ddpm has no finite step at timestep 999", ZeroSnr()}),
    ::testing::PrintToStringParamName());

TEST(DefaultSamplingOptionsTest, AreTheSchedulersOwn) {
  SchedulerConfig config = SchedulerDefaults("UniPCMultistepScheduler");
  config.solver.solver_order = 3;
  SamplingOptions options = DefaultSamplingOptions(config);
  EXPECT_EQ(options.sampler, "unipc");
  EXPECT_EQ(options.steps, 50);
  EXPECT_EQ(options.solver_order, 3);
  EXPECT_EQ(options.solver_type, SolverType::kBh2);
  EXPECT_EQ(options.timestep_spacing, TimestepSpacing::kLinspace);
  EXPECT_FALSE(options.clip_sample);
  EXPECT_EQ(DefaultSamplingOptions(SchedulerDefaults("KDPM2DiscreteScheduler")).sampler, "heun");
  EXPECT_THAT(ClassDeparture("KDPM2DiscreteScheduler"), HasSubstr("drawn with heun"));
  EXPECT_EQ(ClassDeparture("DDIMScheduler"), "");
}

TEST(ForSamplerTest, ReplacesOnlyASolverTypeOfAnothers) {
  SamplingOptions options;
  options.solver_type = SolverType::kHeun;
  EXPECT_EQ(ForSampler("dpmpp", options).solver_type, SolverType::kHeun);
  EXPECT_EQ(ForSampler("unipc", options).solver_type, SolverType::kBh2);
  EXPECT_EQ(ForSampler("unipc", options).sampler, "unipc");
  EXPECT_EQ(ForSampler("euler", options).solver_type, SolverType::kHeun) << "reads none";
}

TEST(DefaultSamplingOptionsTest, TheLogarithmOfTheSmallVarianceIsTaken) {
  SchedulerConfig config;
  config.variance_type = "fixed_small_log";
  const auto small_log = CompilePlan(Model(config), DefaultSamplingOptions(config));
  ASSERT_TRUE(small_log.ok()) << small_log.status();
  EXPECT_EQ(small_log->rows[500].update, CompilePlan(Model(), {})->rows[500].update);
}

// ------------------------------------------------------------------------------------------------
// What all have in common.

class EverySamplerTest : public ::testing::TestWithParam<std::string> {
 protected:
  SamplingOptions Options(int64_t steps) const {
    SamplingOptions options;
    options.sampler = GetParam();
    options.steps = steps;
    options.skip_prk_steps = true;
    return options;
  }
};

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const Sampler& sampler : Samplers()) names.push_back(sampler.name);
  return names;
}

TEST_P(EverySamplerTest, TakesEveryStepCountThatItsTimestepsAllow) {
  const ModelSchedule model = Model();
  for (const int64_t steps : {1, 2, 3, 4, 5, 10, 20, 50, 250, 999}) {
    for (const TimestepSpacing spacing :
         {TimestepSpacing::kLeading, TimestepSpacing::kTrailing, TimestepSpacing::kLinspace}) {
      SCOPED_TRACE(absl::StrCat(steps, " ", WordOf(spacing)));
      SamplingOptions options = Options(steps);
      options.timestep_spacing = spacing;
      const auto plan = CompilePlan(model, options);
      // Few noise levels too far apart for Langevin steps.
      if (GetParam() == "annealed_langevin" && steps < 20 && !plan.ok()) continue;
      ASSERT_TRUE(plan.ok()) << plan.status();
      EXPECT_EQ(plan->steps, steps);
      EXPECT_LE(plan->registers, kMaxRegisters);
      EXPECT_EQ(std::count_if(plan->rows.begin(), plan->rows.end(),
                              [](const PlanRow& row) { return row.ends_step; }),
                steps);
      EXPECT_TRUE(plan->rows.back().ends_step);
      const size_t columns = static_cast<size_t>(plan->registers) + 3;
      for (const PlanRow& row : plan->rows) {
        ASSERT_EQ(row.update.size(), static_cast<size_t>(plan->registers) * columns);
        ASSERT_GE(row.timestep, 0);
        ASSERT_LE(row.timestep, 999);
      }
    }
  }
}

TEST_P(EverySamplerTest, DrawsTheDatasMeanAndSpread) {
  const ModelSchedule model = Model();
  SamplingOptions options = Options(250);
  options.timestep_spacing = TimestepSpacing::kTrailing;
  options.clip_sample = false;
  options.variance = Variance::kFixedLarge;
  const auto plan = CompilePlan(model, options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::make_unique<GaussianDenoiser>(
      model.schedule,
      GaussianDenoiser::Options{.shape = {1, 64, 64}, .means = {0.3}, .deviation = 0.5}));
  const auto runner = PlanRunner::Create(std::move(lanes));
  std::vector<float> registers;
  for (size_t row = 0; row < plan->rows.size(); ++row) {
    PlanTask task;
    task.plan = &*plan;
    task.row = static_cast<int>(row);
    task.seed = 3;
    task.before = registers;
    ASSERT_TRUE((*runner)->Step({&task, 1}).ok());
    registers = std::move(task.after);
  }
  double sum = 0, squares = 0;
  constexpr size_t kPixels = 64 * 64;
  for (size_t i = 0; i < kPixels; ++i) {
    sum += registers[i];
    squares += double{registers[i]} * registers[i];
  }
  const double mean = sum / kPixels;
  EXPECT_NEAR(mean, 0.3, 0.04);
  EXPECT_NEAR(std::sqrt(squares / kPixels - mean * mean), 0.5, 0.04);
}

TEST_P(EverySamplerTest, DrawsTheSameFromTheScoreAsFromEpsilon) {
  SamplingOptions options = Options(20);
  options.timestep_spacing = TimestepSpacing::kTrailing;
  options.s_churn = 3;
  constexpr size_t kPixels = 16;
  std::vector<float> drawn[2];
  for (const bool score : {false, true}) {
    ModelSchedule model = Model();
    if (score) model.prediction_type = PredictionType::kScore;
    const auto plan = CompilePlan(model, options);
    ASSERT_TRUE(plan.ok()) << plan.status();
    std::vector<float> x(static_cast<size_t>(plan->registers) * kPixels), f(kPixels), z(kPixels),
        d(kPixels);
    FillRowNoise(1, 0, kInitialNoiseRow, std::span(x).first(kPixels));
    for (size_t i = 0; i < kPixels; ++i) x[i] *= static_cast<float>(plan->init_scale);
    for (size_t row = 0; row < plan->rows.size(); ++row) {
      const double noise = std::sqrt(1 - LevelOf(plan->rows[row]));
      // The exact epsilon of data with mean 0 and deviation 1, and its score.
      const double f_of_x = plan->rows[row].c_in * (score ? -1 : noise);
      for (size_t i = 0; i < kPixels; ++i) f[i] = static_cast<float>(f_of_x * x[i]);
      FillRowNoise(1, 0, static_cast<uint32_t>(row), z);
      ApplyPlanRow(*plan, plan->rows[row], f, z, x, d);
    }
    drawn[score].assign(x.begin(), x.begin() + kPixels);
  }
  for (size_t i = 0; i < kPixels; ++i) EXPECT_NEAR(drawn[0][i], drawn[1][i], 1e-4) << i;
}

INSTANTIATE_TEST_SUITE_P(Samplers, EverySamplerTest, ::testing::ValuesIn(Names()),
                         [](const auto& info) { return info.param; });

TEST(DynamicThresholdingTest, DividesByTheQuantileWithinItsLimits) {
  SamplingPlan plan;
  PlanRow row;
  row.d_f = 1;
  row.threshold_quantile = 0.75;
  row.threshold_max = 10;
  row.update = {0, 1, 0, 0};
  const auto apply = [&](std::vector<float> f) {
    std::vector<float> x(f.size()), d(f.size());
    ApplyPlanRow(plan, row, f, {}, x, d);
    return d;
  };
  // |D| sorted is 0 1 2 4 8; its 0.75-quantile is 4.
  EXPECT_EQ(apply({-8, 0, 1, -2, 4}), (std::vector<float>{-1, 0, 0.25f, -0.5f, 1}));
  EXPECT_EQ(apply({0.5f, -0.25f}), (std::vector<float>{0.5f, -0.25f})) << "never below 1";
  row.threshold_max = 2;
  EXPECT_EQ(apply({-8, 0, 1, -2, 4}), (std::vector<float>{-1, 0, 0.5f, -1, 1}));
}

}  // namespace
}  // namespace diffusiond
