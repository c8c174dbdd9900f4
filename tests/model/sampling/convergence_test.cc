// On Gaussian data the exact denoiser and the exact path of the probability-flow ODE are known, so
// a sampler's error is a number, and must fall with the number of steps as its order says.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/sampler.h"
#include "tests/testing/gaussian_denoiser.h"

namespace diffusiond {
namespace {

constexpr int64_t kTrainTimesteps = 4096;
// Where errors are taken: last steps to sigma 0 are of another order by design.
constexpr int64_t kStop = kTrainTimesteps / 4 - 1;
constexpr double kMean = 0.3, kDeviation = 0.5;

SchedulerConfig Config() {
  SchedulerConfig config;
  config.num_train_timesteps = kTrainTimesteps;
  config.beta_start *= 1000.0 / kTrainTimesteps;
  config.beta_end *= 1000.0 / kTrainTimesteps;
  return config;
}

// x_t on the exact path that passes through `x` at `from`: in sigma and x / sqrt(alpha_bar), the
// distance from the mean grows as sqrt(deviation^2 + sigma^2).
double ExactPath(const NoiseSchedule& schedule, double x, int64_t from, int64_t to) {
  const auto radius = [](double a) { return std::sqrt(kDeviation * kDeviation + (1 - a) / a); };
  const double a = schedule.alpha_bar(from), b = schedule.alpha_bar(to);
  return std::sqrt(b) * (kMean + (x / std::sqrt(a) - kMean) * radius(b) / radius(a));
}

// The largest error of x_t at kStop, over 16 pixels.
double ErrorAtStop(SamplingOptions options, int64_t steps) {
  const auto model = MakeModelSchedule(Config());
  options.steps = steps;
  options.timestep_spacing = "trailing";  // Visits kStop whatever the power of two.
  options.clip_sample = false;
  const auto plan = CompilePlan(*model, options);
  EXPECT_TRUE(plan.ok()) << plan.status();
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::make_unique<GaussianDenoiser>(
      model->schedule,
      GaussianDenoiser::Options{.shape = {1, 4, 4}, .means = {kMean}, .deviation = kDeviation}));
  const auto runner = PlanRunner::Create(std::move(lanes));

  // The start, to compare with: what row 0 has before it.
  SamplingPlan start = *plan;
  start.rows.resize(1);
  std::fill(start.rows[0].update.begin(), start.rows[0].update.end(), 0);
  start.rows[0].update[0] = 1;
  PlanTask first;
  first.plan = &start;
  EXPECT_TRUE((*runner)->Step({&first, 1}).ok());

  std::vector<float> registers;
  for (size_t row = 0; row < plan->rows.size(); ++row) {
    PlanTask task;
    task.plan = &*plan;
    task.row = static_cast<int>(row);
    task.before = registers;
    EXPECT_TRUE((*runner)->Step({&task, 1}).ok());
    registers = std::move(task.after);
    const PlanRow& done = plan->rows[row];
    if (!done.ends_step || done.next_timestep != static_cast<double>(kStop)) continue;
    double error = 0;
    for (size_t i = 0; i < 16; ++i) {
      const double exact = ExactPath(model->schedule, plan->rows[0].c_in * first.after[i],
                                     kTrainTimesteps - 1, kStop);
      error = std::max(error, std::abs(plan->rows[row + 1].c_in * registers[i] - exact));
    }
    return error;
  }
  ADD_FAILURE() << options.sampler << " never stands at " << kStop;
  return 0;
}

struct Order {
  const char* name;
  SamplingOptions options;
  double order;
  std::vector<int64_t> steps;
};

std::ostream& operator<<(std::ostream& out, const Order& order) { return out << order.name; }

class ConvergenceTest : public ::testing::TestWithParam<Order> {};

TEST_P(ConvergenceTest, ErrorFallsAsTheOrderSays) {
  // Least squares of log(error) over log(steps).
  double n = 0, sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
  for (const int64_t steps : GetParam().steps) {
    const double error = ErrorAtStop(GetParam().options, steps);
    RecordProperty("error_" + std::to_string(steps), std::to_string(error));
    const double x = std::log(static_cast<double>(steps)), y = std::log(error);
    n += 1, sum_x += x, sum_y += y, sum_xx += x * x, sum_xy += x * y;
  }
  const double slope = (n * sum_xy - sum_x * sum_y) / (n * sum_xx - sum_x * sum_x);
  EXPECT_NEAR(-slope, GetParam().order, 0.25);
}

SamplingOptions Named(const char* sampler, int64_t solver_order = 2, const char* solver_type = "") {
  SamplingOptions options;
  options.sampler = sampler;
  options.solver_order = solver_order;
  options.solver_type = solver_type;
  return options;
}

INSTANTIATE_TEST_SUITE_P(
    Samplers, ConvergenceTest,
    ::testing::Values(Order{"Ddim", Named("ddim"), 1, {32, 64, 128, 256}},
                      Order{"Euler", Named("euler"), 1, {32, 64, 128, 256}},
                      Order{"Heun", Named("heun"), 2, {64, 128, 256}},
                      Order{"DpmppOrder1", Named("dpmpp", 1), 1, {32, 64, 128, 256}},
                      Order{"Dpmpp2M", Named("dpmpp", 2), 2, {32, 64, 128}},
                      Order{"Dpmpp2MHeun", Named("dpmpp", 2, "heun"), 2, {32, 64, 128}},
                      // Its first step is of order 1, whose error of h^2 stays.
                      Order{"Dpmpp3M", Named("dpmpp", 3), 2, {32, 64, 128}},
                      Order{"UniPc1", Named("unipc", 1), 2, {32, 64, 128}},
                      Order{"UniPc2", Named("unipc", 2), 3, {32, 64, 128}}),
    ::testing::PrintToStringParamName());

}  // namespace
}  // namespace diffusiond
