// The bound of variational diffusion models, with the noise schedule learned along with the network
// (Kingma et al. 2021, equation 11, in bits per dimension, for T noise levels):
//
//   -log p(x) <= KL(q(z_{T-1} | x) || N(0, I)) + E[-log p(x | z_0)] + sum over t = 1 .. T - 1 of
//                1/2 E[expm1(gamma_t - gamma_{t-1}) ||eps - eps-hat(z_t, t)||^2]       (equation
//                14)
//
// with gamma_t = gamma(t / (T - 1)) of a MonotoneSchedule, and p(x | z_0) in proportion to
// q(z_0 | x) over the 256 levels of a byte (section 3.3), in expectation over z_0 by quadrature.
//
// The network and the end points gamma_0, gamma_1 minimise the bound. What lies between, which the
// bound hardly depends on for many levels, minimises the variance of its estimate from one t, the
// mean of the squares of the third part (appendix I.2), in the same backward: the gradient that
// reaches gamma(t) of an image is scaled by twice the image's term on its way to the inner
// parameters.
//
// The network is told t, not gamma_t as the paper's is, so that samplers which know nothing of this
// can ask it. What it would say at another gamma is then unknown, but does not matter to first
// order: it is at a minimum of its error.
//
// At t = 0 the network has no part in the bound, but samplers ask it there: it is trained on the
// weight of t = 1, which changes the printed loss by a T-th of that term.
#ifndef DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_SCHEDULE_OBJECTIVE_H_
#define DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_SCHEDULE_OBJECTIVE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/training/objectives/objective.h"

namespace diffusiond {

// The schedule begins near linear in gamma between the end points of `scheduler`'s own betas. At
// least two timesteps.
absl::StatusOr<std::unique_ptr<const Objective>> MakeScheduleObjective(
    const SchedulerConfig& scheduler, torch::Device device);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_SCHEDULE_OBJECTIVE_H_
