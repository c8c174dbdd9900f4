// Small plans whose results can be worked out by hand.
#ifndef DIFFUSIOND_TESTS_TESTING_TEST_PLANS_H_
#define DIFFUSIOND_TESTS_TESTING_TEST_PLANS_H_

#include <memory>

#include "model/sampling/sampling_plan.h"

namespace diffusiond {

// `steps` rows of x' = x / 2 + D / 4, D = F; timesteps steps - 1 .. 0, noise one more; no noise but
// the first.
std::shared_ptr<const SamplingPlan> HalvingPlan(int steps);

// As HalvingPlan, and each row but the last adds noise: x' = x / 2 + D / 4 + z / 8.
std::shared_ptr<const SamplingPlan> NoisyPlan(int steps);

// Two registers and two rows a step, as Heun's method: the first row saves x, the second goes on
// from the mean of the saved x and D.
std::shared_ptr<const SamplingPlan> TwoEvaluationPlan(int steps);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_TEST_PLANS_H_
