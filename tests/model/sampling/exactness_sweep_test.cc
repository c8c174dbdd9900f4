// Every sampler at every number of steps, on every spacing: Gaussian data has an exact denoiser,
// and what a plan makes of it is computed exactly (PlanMoments), so the error of the drawn
// distribution is a number without chance in it.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "model/sampling/sampler.h"
#include "tests/testing/plan_moments.h"

namespace diffusiond {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr GaussianData kData{.mean = 0.25, .deviation = 0.2};

// What no number of steps mends: x begins as N(0, 1), not as the data's marginal at the last
// timestep (3.2e-4 of the mean with linear betas), and the end, D at the first timestep, is a
// little narrow (2.5e-4).
constexpr double kFloor = 4e-4;

struct Method {
  const char* name;
  const char* sampler;
  // The error is at most kFloor + first / n, and kFloor + second / n^2: the methods' first and
  // second order. The last step, to the clean image, is of no higher one.
  double first, second = kInfinity;
  std::function<void(SamplingOptions&)> choose = [](SamplingOptions&) {};
  bool may_refuse_few = false;
  double growth = 1.1;  // What an error may be of those with fewer steps.
};

std::ostream& operator<<(std::ostream& out, const Method& method) { return out << method.name; }

using O = SamplingOptions;

std::vector<Method> Methods() {
  std::vector<Method> methods = {
      {"DdpmSmall", "ddpm", 4},
      {"DdpmLarge", "ddpm", 3, kInfinity, [](O& o) { o.variance = Variance::kFixedLarge; }},
      {"Ddim", "ddim", 1.5},
      {"DdimEta1", "ddim", 4, kInfinity, [](O& o) { o.eta = 1; }},
      {"PndmRungeKutta", "pndm", 1.4, 14},
      {"PndmMultistep", "pndm", 0.8, 14, [](O& o) { o.skip_prk_steps = true; }},
      {"Dpmpp1", "dpmpp", 1.7, kInfinity, [](O& o) { o.solver_order = 1; }},
      {"Dpmpp2Midpoint", "dpmpp", 1.2, 200},
      {"Dpmpp2Heun", "dpmpp", 1.2, 200, [](O& o) { o.solver_type = SolverType::kHeun; }},
      {"Dpmpp3", "dpmpp", 1.2, 280, [](O& o) { o.solver_order = 3; }},
      {"DpmppSde1", "dpmpp", 4, kInfinity,
       [](O& o) { o.algorithm_type = DpmAlgorithm::kSde, o.solver_order = 1; }},
      {"DpmppSde2", "dpmpp", 1.2, 580, [](O& o) { o.algorithm_type = DpmAlgorithm::kSde; }},
      {"UniPc1", "unipc", 1.3, 360, [](O& o) { o.solver_order = 1; }},
      {"UniPc2", "unipc", 1.2, 250},
      {"UniPc3", "unipc", 1.2, 260, [](O& o) { o.solver_order = 3; }},
      {"Deis1", "deis", 1.7, kInfinity, [](O& o) { o.solver_order = 1; }},
      {"Deis2", "deis", 1.2, 240},
      {"Deis3", "deis", 1.2, 280, [](O& o) { o.solver_order = 3; }},
      {"Euler", "euler", 1.5},
      {"EulerChurn", "euler", 4, kInfinity, [](O& o) { o.s_churn = 40; }},
      {"EulerAncestral", "euler_ancestral", 4},
      {"Heun", "heun", 1.1, 110},
      {"Lms", "lms", 0.9, 8},
      {"ProbabilityFlowHeun", "probability_flow", 1.2, 110},
      {"ProbabilityFlowEuler", "probability_flow", 2, kInfinity,
       [](O& o) { o.solver_type = SolverType::kEuler; }},
      {"ProbabilityFlowRk4", "probability_flow", 1.2, 110,
       [](O& o) { o.solver_type = SolverType::kRk4; }},
      {"ReverseSde", "reverse_sde", 7, 50},
      {"PredictorCorrector", "predictor_corrector", 4},
      // A Langevin step's own bias, which only its size mends, is as large as the other errors.
      {"AnnealedLangevin", "annealed_langevin", 11, kInfinity, [](O&) {}, true, 1.5}};
  return methods;
}

struct Setting {
  const char* beta_schedule;
  const char* prediction_type;
  TimestepSpacing spacing;
  bool every_count;  // Of steps; else those to 40 and some more.
};

std::vector<Setting> Settings() {
  std::vector<Setting> settings;
  for (const TimestepSpacing spacing :
       {TimestepSpacing::kLeading, TimestepSpacing::kTrailing, TimestepSpacing::kLinspace}) {
    for (const char* schedule : {"linear", "squaredcos_cap_v2"}) {
      const bool linear = std::string(schedule) == "linear";
      for (const char* prediction : {"epsilon", "v_prediction", "score"}) {
        // D is the same whatever the network predicts, so one of them goes through all.
        const char* const all = linear ? "epsilon" : "v_prediction";
        settings.push_back({schedule, prediction, spacing, std::string(prediction) == all});
      }
    }
  }
  return settings;
}

class ExactnessSweepTest : public ::testing::TestWithParam<Method> {
 protected:
  // Of what is drawn, from the data. Not finite: refused.
  static double Error(const ModelSchedule& model, TimestepSpacing spacing, int64_t steps,
                      const GaussianData& data) {
    SamplingOptions options;
    options.sampler = GetParam().sampler;
    options.steps = steps;
    options.timestep_spacing = spacing;
    options.clip_sample = false;
    GetParam().choose(options);
    const auto plan = CompilePlan(model, options);
    if (!plan.ok()) {
      EXPECT_TRUE(GetParam().may_refuse_few && steps < 20) << steps << ": " << plan.status();
      return kInfinity;
    }
    EXPECT_EQ(plan->steps, steps);
    const Moments drawn = PlanMoments(*plan, data).back();
    return std::hypot(drawn.mean - data.mean,
                      std::sqrt(std::max(drawn.variance, 0.0)) - data.deviation);
  }

  static ModelSchedule Model(const Setting& setting) {
    SchedulerConfig config;
    config.beta_schedule = setting.beta_schedule;
    config.prediction_type = setting.prediction_type;
    return *MakeModelSchedule(config);
  }
};

TEST_P(ExactnessSweepTest, DrawsTheDataWithinTheOrderAndNeverWorseWithMoreSteps) {
  for (const Setting& setting : Settings()) {
    SCOPED_TRACE(std::string(setting.beta_schedule) + " " + setting.prediction_type + " " +
                 std::string(WordOf(setting.spacing)));
    const ModelSchedule model = Model(setting);
    std::vector<double> errors = {kInfinity};  // By steps.
    for (int64_t steps = 1; steps <= 1000; ++steps) {
      const bool taken = setting.every_count || steps <= 40 || steps % 61 == 0 || steps == 1000;
      errors.push_back(taken ? Error(model, setting.spacing, steps, kData) : kInfinity);
      if (!std::isfinite(errors.back())) continue;
      const double n = static_cast<double>(steps);
      ASSERT_LT(errors.back(), kFloor + GetParam().first / n) << "steps " << steps;
      ASSERT_LT(errors.back(), kFloor + GetParam().second / (n * n)) << "steps " << steps;
    }
    if (!setting.every_count) continue;
    for (size_t n = 8; n <= 1000; ++n) {
      // One count may be lucky (the error changes its sign); a whole range is not.
      double fewer = 0;
      for (size_t k = (n + 3) / 4; k <= n / 2; ++k) fewer = std::max(fewer, errors[k]);
      if (!std::isfinite(errors[n])) continue;
      ASSERT_LE(errors[n], kFloor + GetParam().growth * fewer) << "steps " << n;
    }
  }
}

// All data are one point: D is that point whatever x is, so any noise in the image was added last.
TEST_P(ExactnessSweepTest, DrawsAPointWithoutNoise) {
  for (const TimestepSpacing spacing :
       {TimestepSpacing::kLeading, TimestepSpacing::kTrailing, TimestepSpacing::kLinspace}) {
    const ModelSchedule model = Model({"squaredcos_cap_v2", "v_prediction", spacing, true});
    for (const int64_t steps : {1, 2, 3, 20, 33, 50, 400, 700, 1000}) {
      if (GetParam().may_refuse_few && steps < 20) continue;
      EXPECT_LT(Error(model, spacing, steps, {.mean = 0.25, .deviation = 0}), 1e-6)
          << WordOf(spacing) << " " << steps;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Samplers, ExactnessSweepTest, ::testing::ValuesIn(Methods()),
                         ::testing::PrintToStringParamName());

// A new sampler joins the sweep.
TEST(ExactnessSweepMethodsTest, HaveEverySampler) {
  for (const Sampler& sampler : Samplers()) {
    const auto methods = Methods();
    EXPECT_TRUE(std::any_of(methods.begin(), methods.end(), [&](const Method& m) {
      return m.sampler == sampler.name;
    })) << sampler.name;
  }
}

}  // namespace
}  // namespace diffusiond
