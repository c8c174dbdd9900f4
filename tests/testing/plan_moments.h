// What a plan does to a Gaussian, exactly: no noise is drawn.
#ifndef DIFFUSIOND_TESTS_TESTING_PLAN_MOMENTS_H_
#define DIFFUSIOND_TESTS_TESTING_PLAN_MOMENTS_H_

#include <vector>

#include "model/sampling/sampling_plan.h"

namespace diffusiond {

// Data x_0 ~ N(mean, deviation^2). Along a principal axis of any covariance matrix an image is such
// a number, and a linear plan with the exact (linear) network moves each axis for itself.
struct GaussianData {
  double mean = 0, deviation = 1;
};

struct Moments {
  double mean = 0, variance = 0;
};

// Of x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps.
Moments Marginal(const GaussianData& data, double alpha_bar);

// The alpha_bar at which a row asks the network.
double LevelOf(const PlanRow& row);

// Mean and variance of the register x after each row, in units of x_t (times the next row's c_in)
// where there is a next row. The network is the exact one of `data`, whatever it predicts; the
// plan must neither clip nor churn as diffusers does (then F is not that of the x that D is read
// from).
std::vector<Moments> PlanMoments(const SamplingPlan& plan, const GaussianData& data);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_PLAN_MOMENTS_H_
