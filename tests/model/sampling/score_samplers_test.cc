// The samplers that follow the score (reverse SDE, probability flow, predictor-corrector, annealed
// Langevin), against data whose marginal at every noise level is known.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "model/sampling/continuous_schedule.h"
#include "model/sampling/plan_update.h"
#include "model/sampling/sampler.h"
#include "tests/testing/plan_moments.h"

namespace diffusiond {
namespace {

constexpr int64_t kTrainTimesteps = 4096;
// Where errors are taken: the last step, which returns D, is of another kind.
constexpr int64_t kStop = kTrainTimesteps / 4 - 1;

ModelSchedule Model() {
  SchedulerConfig config;
  config.num_train_timesteps = kTrainTimesteps;
  config.beta_start *= 1000.0 / kTrainTimesteps;
  config.beta_end *= 1000.0 / kTrainTimesteps;
  return *MakeModelSchedule(config);
}

SamplingOptions Options(const char* sampler, int64_t steps) {
  SamplingOptions options;
  options.sampler = sampler;
  options.steps = steps;
  options.timestep_spacing = TimestepSpacing::kTrailing;  // Visits kStop whatever the power of two.
  options.clip_sample = false;
  return options;
}

double DistanceBetween(const Moments& a, const Moments& b) {
  return std::hypot(a.mean - b.mean, std::sqrt(a.variance) - std::sqrt(b.variance));
}

// Least squares of -log(error) over log(steps).
double FittedOrder(const std::vector<std::pair<int64_t, double>>& errors) {
  double n = 0, sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
  for (const auto& [steps, error] : errors) {
    const double x = std::log(static_cast<double>(steps)), y = std::log(error);
    n += 1, sum_x += x, sum_y += y, sum_xx += x * x, sum_xy += x * y;
  }
  return -(n * sum_xy - sum_x * sum_y) / (n * sum_xx - sum_x * sum_x);
}

struct Order {
  const char* name;
  const char* sampler;
  SolverType solver_type;
  double order;
  std::vector<int64_t> steps;
  std::vector<double> deviations = {0.1, 0.5, 2.0};
};

std::ostream& operator<<(std::ostream& out, const Order& order) { return out << order.name; }

class ScoreSamplerOrderTest : public ::testing::TestWithParam<Order> {};

TEST_P(ScoreSamplerOrderTest, MarginalConvergesAsTheOrderSays) {
  const ModelSchedule model = Model();
  const ContinuousSchedule schedule(model.schedule);
  for (const double deviation : GetParam().deviations) {
    const GaussianData data{.mean = 0.3, .deviation = deviation};
    std::vector<std::pair<int64_t, double>> errors;
    for (const int64_t steps : GetParam().steps) {
      SamplingOptions options = Options(GetParam().sampler, steps);
      options.solver_type = GetParam().solver_type;
      // A Langevin step's own bias is proportional to its size.
      options.langevin_step_size = 4.0 / static_cast<double>(steps);
      const auto plan = CompilePlan(model, options);
      ASSERT_TRUE(plan.ok()) << plan.status();
      const std::vector<Moments> moments = PlanMoments(*plan, data);
      size_t row = 0;
      while (!plan->rows[row].ends_step || plan->rows[row].next_timestep != kStop) ++row;
      // The start, N(0, 1), is not quite the data's marginal: an ODE keeps the difference, and so
      // its exact path leads from there.
      Moments exact = Marginal(data, schedule.alpha_bar(kStop));
      if (std::string(GetParam().sampler) == "probability_flow") {
        const Moments start = Marginal(data, schedule.alpha_bar(kTrainTimesteps - 1));
        const double growth = std::sqrt(exact.variance / start.variance);
        exact = {exact.mean - growth * start.mean, growth * growth};
      }
      errors.emplace_back(steps, DistanceBetween(moments[row], exact));
      RecordProperty("error_" + std::to_string(deviation) + "_" + std::to_string(steps),
                     std::to_string(std::log2(errors.back().second)));
    }
    EXPECT_NEAR(FittedOrder(errors), GetParam().order, 0.15) << "deviation " << deviation;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Samplers, ScoreSamplerOrderTest,
    ::testing::Values(
        Order{"Euler", "probability_flow", SolverType::kEuler, 1, {64, 128, 256, 512}},
        Order{"Heun", "probability_flow", SolverType::kHeun, 2, {64, 128, 256, 512}},
        // Errors below 1e-8 are those of the schedule's float32 betas.
        Order{"RungeKutta4", "probability_flow", SolverType::kRk4, 4, {12, 16, 24, 32}, {0.1, 0.5}},
        Order{"EulerMaruyama", "reverse_sde", SolverType::kSamplersOwn, 1, {64, 128, 256, 512}},
        Order{"PredictorCorrector",
              "predictor_corrector",
              SolverType::kSamplersOwn,
              1,
              {64, 128, 256, 512}}),
    ::testing::PrintToStringParamName());

// ------------------------------------------------------------------------------------------------
// Two Gaussians: the path is not linear any more, but the ODE still carries each quantile of the
// marginal at one noise level to the same quantile at another.

struct Mixture {
  double weight[2] = {0.3, 0.7}, mean[2] = {-0.8, 0.5}, deviation = 0.1;

  double Cdf(double x, double alpha_bar) const {
    double sum = 0;
    for (int k = 0; k < 2; ++k) {
      const Moments m = Marginal({mean[k], deviation}, alpha_bar);
      sum += weight[k] * 0.5 * std::erfc(-(x - m.mean) / std::sqrt(2 * m.variance));
    }
    return sum;
  }

  // E[eps | x_t = x].
  double Epsilon(double x, double alpha_bar) const {
    double density = 0, score = 0;
    for (int k = 0; k < 2; ++k) {
      const Moments m = Marginal({mean[k], deviation}, alpha_bar);
      const double apart = x - m.mean;
      const double part =
          weight[k] * std::exp(-apart * apart / (2 * m.variance)) / std::sqrt(m.variance);
      density += part;
      score -= part * apart / m.variance;
    }
    return -std::sqrt(1 - alpha_bar) * score / density;
  }
};

TEST(ProbabilityFlowTest, KeepsTheQuantilesOfAMixture) {
  const ModelSchedule model = Model();
  const ContinuousSchedule schedule(model.schedule);
  const Mixture mixture;
  for (const SolverType solver : {SolverType::kEuler, SolverType::kHeun, SolverType::kRk4}) {
    SCOPED_TRACE(std::string(WordOf(solver)));
    SamplingOptions options = Options("probability_flow", 512);
    options.solver_type = solver;
    const SamplingPlan plan = *CompilePlan(model, options);
    constexpr size_t kPoints = 41;
    std::vector<float> registers(3 * kPoints), f(kPoints), d(kPoints);
    std::vector<double> before;
    for (size_t i = 0; i < kPoints; ++i) {
      registers[i] = static_cast<float>(-2.5 + 5.0 * static_cast<double>(i) / (kPoints - 1));
      before.push_back(mixture.Cdf(registers[i], schedule.alpha_bar(plan.rows[0].timestep)));
    }
    for (size_t row = 0; row + 1 < plan.rows.size(); ++row) {
      const double alpha_bar = LevelOf(plan.rows[row]);
      for (size_t i = 0; i < kPoints; ++i) {
        f[i] = static_cast<float>(mixture.Epsilon(registers[i], alpha_bar));
      }
      ApplyPlanRow(plan, plan.rows[row], f, {}, registers, d);
    }
    const double tolerance = solver == SolverType::kEuler ? 2e-2 : 2e-3;
    const double alpha_bar = schedule.alpha_bar(plan.rows.back().timestep);
    for (size_t i = 0; i < kPoints; ++i) {
      EXPECT_NEAR(mixture.Cdf(registers[i], alpha_bar), before[i], tolerance) << i;
    }
  }
}

// ------------------------------------------------------------------------------------------------
// Langevin steps, many at one level, forget where they began; a fixed step size leaves a bias that
// is known: x <- x - (h / 2) w (x - m) / v + sqrt(h w) z has the variance v / (1 - h w / (4 v)),
// where w is the noise variance of the level and v the marginal's.

Moments Stationary(const GaussianData& data, double alpha_bar, double step_size) {
  Moments marginal = Marginal(data, alpha_bar);
  marginal.variance /= 1 - step_size * (1 - alpha_bar) / (4 * marginal.variance);
  return marginal;
}

class LangevinTest : public ::testing::TestWithParam<std::string> {};

TEST_P(LangevinTest, ReachesTheStationaryCovarianceOfItsStepSizeAtEveryLevel) {
  const ModelSchedule model = Model();
  for (const double deviation : {0.1, 0.5, 2.0}) {
    for (const double step_size : {0.05, 0.5, 2.0}) {
      SCOPED_TRACE(std::to_string(deviation) + " " + std::to_string(step_size));
      const GaussianData data{.mean = 0.3, .deviation = deviation};
      SamplingOptions options = Options(GetParam().c_str(), 8);
      options.sigma_schedule = SigmaSchedule::kTimesteps;
      options.langevin_step_size = step_size;
      // Where the data are wide, the level's noise says little, and a step moves little.
      options.langevin_steps = 1200;
      const SamplingPlan plan = *CompilePlan(model, options);
      const std::vector<Moments> moments = PlanMoments(plan, data);
      int compared = 0;
      for (size_t row = 1199; row + 1 < plan.rows.size(); ++row) {
        // After the last but one Langevin step of a level, still in its units.
        if (plan.rows[row].timestep != plan.rows[row + 1].timestep ||
            plan.rows[row - 1198].timestep != plan.rows[row].timestep) {
          continue;
        }
        const double alpha_bar = LevelOf(plan.rows[row]);
        const Moments exact = Stationary(data, alpha_bar, step_size);
        if (alpha_bar > 0.5 && deviation > 1) continue;
        EXPECT_NEAR(moments[row].mean, exact.mean, 1e-3) << row;
        EXPECT_NEAR(moments[row].variance, exact.variance, 2e-3 * exact.variance) << row;
        ++compared;
      }
      EXPECT_GE(compared, 5);
    }
  }
}

TEST_P(LangevinTest, EndsAtTheDatasCovarianceAsStepsShrinkAndGrowInNumber) {
  const ModelSchedule model = Model();
  for (const double deviation : {0.1, 0.5, 2.0}) {
    const GaussianData data{.mean = 0.3, .deviation = deviation};
    std::vector<double> errors;
    for (const int64_t finer : {1, 2, 4}) {
      SamplingOptions options = Options(GetParam().c_str(), 25 * finer);
      options.timestep_spacing = TimestepSpacing::kLinspace;  // Down to the lowest level.
      options.sigma_schedule = SigmaSchedule::kExponential;
      options.langevin_step_size = 0.4 / static_cast<double>(finer);
      options.langevin_steps = 20 * finer;
      const SamplingPlan plan = *CompilePlan(model, options);
      errors.push_back(DistanceBetween(PlanMoments(plan, data).back(),
                                       {data.mean, data.deviation * data.deviation}));
    }
    EXPECT_TRUE(std::is_sorted(errors.rbegin(), errors.rend())) << ::testing::PrintToString(errors);
    EXPECT_LT(errors.back(), 0.03 * deviation) << ::testing::PrintToString(errors);
  }
}

INSTANTIATE_TEST_SUITE_P(Samplers, LangevinTest,
                         ::testing::Values("predictor_corrector", "annealed_langevin"),
                         [](const auto& info) { return info.param; });

TEST(PredictorCorrectorTest, CorrectorsMendWhatFewPredictorsMiss) {
  const ModelSchedule model = Model();
  const ContinuousSchedule schedule(model.schedule);
  const GaussianData data{.mean = 0.3, .deviation = 0.5};
  std::vector<double> errors;
  for (const int64_t correctors : {1, 4, 16, 64}) {
    SamplingOptions options = Options("predictor_corrector", 16);
    options.langevin_steps = correctors;
    options.langevin_step_size = 0.05;
    const SamplingPlan plan = *CompilePlan(model, options);
    size_t row = 0;
    while (plan.rows[row + 1].timestep != kStop || plan.rows[row + 1].ends_step) ++row;
    row += static_cast<size_t>(correctors);  // The last corrector at kStop.
    ASSERT_EQ(plan.rows[row].timestep, kStop);
    errors.push_back(
        DistanceBetween(PlanMoments(plan, data)[row], Marginal(data, schedule.alpha_bar(kStop))));
  }
  EXPECT_TRUE(std::is_sorted(errors.rbegin(), errors.rend())) << ::testing::PrintToString(errors);
  EXPECT_LT(errors.back(), errors.front() / 4) << ::testing::PrintToString(errors);
}

}  // namespace
}  // namespace diffusiond
