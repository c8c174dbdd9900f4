// Models of EDM: noise levels in place of betas, and their preconditioning.
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/sampling/network_row.h"
#include "model/sampling/sampler.h"
#include "tests/testing/plan_moments.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

const GaussianData kData = {.mean = 0.3, .deviation = 0.4};

ModelSchedule Model() { return *MakeModelSchedule(SchedulerDefaults("EDMEulerScheduler")); }

SamplingOptions Options(const char* sampler, int64_t steps) {
  SamplingOptions options;
  options.sampler = sampler;
  options.steps = steps;
  options.sigma_schedule = SigmaSchedule::kKarras;
  options.clip_sample = false;
  return options;
}

struct Order {
  const char* sampler;
  double order;
};

std::ostream& operator<<(std::ostream& out, const Order& order) { return out << order.sampler; }

class EdmOrderTest : public ::testing::TestWithParam<Order> {};

// The exact path of the probability-flow ODE: the distance from the mean grows as
// sqrt(deviation^2 + sigma^2).
TEST_P(EdmOrderTest, ErrorFallsAsTheOrderSays) {
  const ModelSchedule model = Model();
  std::vector<double> errors;
  for (const int64_t half : {16, 32, 64, 128}) {
    // Levels even in sigma^(1 / 7): the one in the middle is the same in all of these.
    const SamplingPlan plan = *CompilePlan(model, Options(GetParam().sampler, 2 * half + 1));
    size_t row = 0;
    for (int64_t steps = 0; steps < half; ++row) steps += plan.rows[row].ends_step ? 1 : 0;
    const PlanRow& next = plan.rows[row];
    const double scale = next.c_in, start = plan.rows[0].noise;
    const double growth =
        std::hypot(kData.deviation, next.noise) / std::hypot(kData.deviation, start);
    const Moments drawn = PlanMoments(plan, kData)[row - 1];
    const double mean = kData.mean * (1 - growth), deviation = plan.init_scale * growth;
    errors.push_back(
        std::hypot(drawn.mean / scale - mean, std::sqrt(drawn.variance) / scale - deviation));
  }
  for (size_t i = 1; i < errors.size(); ++i) {
    EXPECT_NEAR(std::log2(errors[i - 1] / errors[i]), GetParam().order, 0.3) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Samplers, EdmOrderTest,
                         ::testing::Values(Order{"euler", 1}, Order{"heun", 2}),
                         ::testing::PrintToStringParamName());

class EdmSamplerTest : public ::testing::TestWithParam<std::string> {};

TEST_P(EdmSamplerTest, EndsAtTheDatasMeanAndDeviation) {
  SamplingOptions options = Options(GetParam().c_str(), 200);
  options.langevin_steps = 40;
  options.langevin_step_size = 0.1;
  const auto plan = CompilePlan(Model(), options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const Moments drawn = PlanMoments(*plan, kData).back();
  EXPECT_NEAR(drawn.mean, kData.mean, 0.01);
  EXPECT_NEAR(std::sqrt(drawn.variance), kData.deviation, 0.02);
}

INSTANTIATE_TEST_SUITE_P(Samplers, EdmSamplerTest,
                         ::testing::Values("annealed_langevin", "euler", "euler_ancestral", "heun",
                                           "lms"),
                         [](const auto& info) { return info.param; });

// Karras et al. 2022, table 1: with it the network sees, and has to give, values of variance 1
// where the data's deviation is sigma_data.
TEST(EdmPreconditioningTest, InputAndTargetHaveVarianceOneAtEveryLevel) {
  const ModelSchedule model = Model();
  const double data = model.edm->sigma_data;
  for (const double sigma : {0.002, 0.1, 0.5, 3.0, 80.0}) {
    const PlanRow row = VarianceExplodingRow(model, {}, sigma, 0.25 * std::log(sigma));
    EXPECT_NEAR(row.c_in * row.c_in * (data * data + sigma * sigma), 1, 1e-12);
    // F's target is (x_0 - c_skip (x_0 + sigma eps)) / c_out.
    const double of_x0 = (1 - row.d_x) / row.d_f, of_eps = row.d_x * sigma / row.d_f;
    EXPECT_NEAR(of_x0 * of_x0 * data * data + of_eps * of_eps, 1, 1e-12);
  }
}

TEST(EdmPreconditioningTest, TheVelocityIsTheSameWithTheOtherSign) {
  ModelSchedule model = Model();
  const PlanRow epsilon = VarianceExplodingRow(model, {}, 2, 0);
  model.prediction_type = PredictionType::kVelocity;
  const PlanRow velocity = VarianceExplodingRow(model, {}, 2, 0);
  EXPECT_EQ(velocity.d_x, epsilon.d_x);
  EXPECT_EQ(velocity.d_f, -epsilon.d_f);
}

TEST(EdmTest, RefusesByNameWhatNeedsBetas) {
  const auto refusal = [](const SamplingOptions& options) {
    return std::string(CompilePlan(Model(), options).status().message());
  };
  EXPECT_THAT(refusal(Options("dpmpp", 10)),
              HasSubstr("sampler dpmpp needs a noise schedule of betas; a model of EDM has none"));
  SamplingOptions options = Options("euler", 10);
  options.sigma_schedule = SigmaSchedule::kTimesteps;
  EXPECT_THAT(refusal(options), HasSubstr("sigma_schedule is \"timesteps\"; for a model of EDM it "
                                          "must be karras, exponential or beta"));
  EXPECT_THAT(refusal(Options("euler", 1001)), HasSubstr("steps is 1001; it must be 1 .. 1000"));
}

}  // namespace
}  // namespace diffusiond
