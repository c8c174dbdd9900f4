// On Gaussian data the exact denoiser and the exact path of the probability-flow ODE are known, so
// a sampler's error is a number, and must fall with the number of steps as its order says.
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/sampling/sampler.h"
#include "tests/testing/plan_moments.h"

namespace diffusiond {
namespace {

constexpr int64_t kTrainTimesteps = 4096;
// Where errors are taken: last steps to sigma 0 are of another order by design.
constexpr int64_t kStop = kTrainTimesteps / 4 - 1;
constexpr GaussianData kData{.mean = 0.3, .deviation = 0.5};

SchedulerConfig Config() {
  SchedulerConfig config;
  config.num_train_timesteps = kTrainTimesteps;
  config.beta_start *= 1000.0 / kTrainTimesteps;
  config.beta_end *= 1000.0 / kTrainTimesteps;
  return config;
}

// Of mean and deviation of x_t at kStop, from those that the exact path gives what x begins as: in
// sigma and x / sqrt(alpha_bar), the distance from the mean grows as sqrt(deviation^2 + sigma^2).
double ErrorAtStop(SamplingOptions options, int64_t steps) {
  const auto model = MakeModelSchedule(Config());
  options.steps = steps;
  options.timestep_spacing = TimestepSpacing::kTrailing;  // Visits kStop whatever the power of two.
  options.clip_sample = false;
  const auto plan = CompilePlan(*model, options);
  EXPECT_TRUE(plan.ok()) << plan.status();
  const Moments start = Marginal(kData, model->schedule.alpha_bar(kTrainTimesteps - 1));
  const Moments stop = Marginal(kData, model->schedule.alpha_bar(kStop));
  const double growth = std::sqrt(stop.variance / start.variance);
  const double began = plan->init_scale * plan->rows[0].c_in;
  const std::vector<Moments> after = PlanMoments(*plan, kData);
  for (size_t row = 0; row < plan->rows.size(); ++row) {
    const PlanRow& done = plan->rows[row];
    if (!done.ends_step || done.next_timestep != static_cast<double>(kStop)) continue;
    return std::hypot(after[row].mean - (stop.mean - growth * start.mean),
                      std::sqrt(after[row].variance) - growth * began);
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

SamplingOptions Named(const char* sampler, int64_t solver_order = 2,
                      SolverType solver_type = SolverType::kSamplersOwn) {
  SamplingOptions options;
  options.sampler = sampler;
  options.solver_order = solver_order;
  options.solver_type = solver_type;
  return options;
}

SamplingOptions Multistep() {
  SamplingOptions options = Named("pndm");
  options.skip_prk_steps = true;
  return options;
}

INSTANTIATE_TEST_SUITE_P(
    Samplers, ConvergenceTest,
    ::testing::Values(Order{"Ddim", Named("ddim"), 1, {32, 64, 128, 256}},
                      Order{"Euler", Named("euler"), 1, {32, 64, 128, 256}},
                      Order{"Heun", Named("heun"), 2, {64, 128, 256}},
                      Order{"Lms", Named("lms"), 4, {64, 128, 256, 512}},
                      // Of second order as a whole (Liu et al. 2022, theorem 3.1).
                      Order{"PndmRungeKutta", Named("pndm"), 2, {128, 256, 512, 1024}},
                      Order{"PndmMultistep", Multistep(), 2, {128, 256, 512, 1024}},
                      Order{"DpmppOrder1", Named("dpmpp", 1), 1, {32, 64, 128, 256}},
                      Order{"Dpmpp2M", Named("dpmpp", 2), 2, {32, 64, 128}},
                      Order{"Dpmpp2MHeun", Named("dpmpp", 2, SolverType::kHeun), 2, {32, 64, 128}},
                      Order{"Dpmpp3M", Named("dpmpp", 3), 3, {128, 256, 512}},
                      // The corrector adds an order.
                      Order{"UniPc1", Named("unipc", 1), 2, {32, 64, 128}},
                      Order{"UniPc2", Named("unipc", 2), 3, {32, 64, 128}},
                      Order{"UniPc3", Named("unipc", 3), 4, {128, 256, 512, 1024}}),
    ::testing::PrintToStringParamName());

// The order alone allows any factor: with the exact coefficient of the second difference the third
// order is a hundred times nearer than with half of it at 256 steps.
TEST(DpmppOrder3Test, IsAsNearAsTheExactCoefficientIs) {
  SamplingOptions options = Named("dpmpp", 3);
  EXPECT_LT(ErrorAtStop(options, 256), 2e-8);
  options.arithmetic = Arithmetic::kDiffusers;
  EXPECT_GT(ErrorAtStop(options, 256), 1e-6);
}

}  // namespace
}  // namespace diffusiond
