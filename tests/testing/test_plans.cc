#include "tests/testing/test_plans.h"

#include <limits>
#include <utility>

namespace diffusiond {
namespace {

PlanRow RowAt(double timestep) {
  PlanRow row;
  row.timestep = timestep;
  row.noise = timestep + 1;
  row.next_timestep = timestep > 0 ? timestep - 1 : 0;
  row.d_f = 1;
  row.clip_range = std::numeric_limits<double>::infinity();
  return row;
}

}  // namespace

std::shared_ptr<const SamplingPlan> HalvingPlan(int steps) {
  auto plan = std::make_shared<SamplingPlan>();
  plan->steps = steps;
  for (int step = 0; step < steps; ++step) {
    PlanRow row = RowAt(steps - 1 - step);
    row.update = {0.5, 0.25, 0, 0};
    plan->rows.push_back(std::move(row));
  }
  return plan;
}

std::shared_ptr<const SamplingPlan> NoisyPlan(int steps) {
  auto plan = std::make_shared<SamplingPlan>(*HalvingPlan(steps));
  for (int step = 0; step + 1 < steps; ++step) {
    plan->rows[step].update = {0.5, 0.25, 0, 0.125};
    plan->rows[step].draws_noise = true;
  }
  return plan;
}

std::shared_ptr<const SamplingPlan> TwoEvaluationPlan(int steps) {
  auto plan = std::make_shared<SamplingPlan>();
  plan->registers = 2;
  plan->steps = steps;
  for (int step = 0; step < steps; ++step) {
    PlanRow predict = RowAt(steps - 1 - step);
    // Columns: x, saved, D, F, z.
    predict.update = {0.5, 0, 0.5, 0, 0,  //
                      1,   0, 0,   0, 0};
    predict.ends_step = false;
    plan->rows.push_back(std::move(predict));
    PlanRow correct = RowAt(steps - 1 - step);
    correct.update = {0, 0.5, 0.5, 0, 0,  //
                      0, 0,   0,   0, 0};
    plan->rows.push_back(std::move(correct));
  }
  return plan;
}

}  // namespace diffusiond
