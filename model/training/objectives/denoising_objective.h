// DDPM's objective (Ho et al. 2020, algorithm 1): the network sees
// x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps and t (or what told_levels.h has for it),
// and predicts eps, x_0, v = sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x_0 or the score,
// -eps / sqrt(1 - alpha_bar_t).
// The loss is w_t times the mean squared error, w_t as loss_weights.h has it.
//
// A network that learns its variance has 2 C output channels, the latter half for the variance. Its
// loss has lambda L_vlb besides, T L_t in expectation, in bits per dimension, in which the mean is
// held fixed, so that it trains the variance alone (Nichol and Dhariwal 2021, equation 16: L_hybrid
// where w is that of L_simple). With the weight "bound" it is L_vlb itself, mean and variance.
#ifndef DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_DENOISING_OBJECTIVE_H_
#define DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_DENOISING_OBJECTIVE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/training/objectives/objective.h"

namespace diffusiond {

// `options` and `scheduler` must fit (Validate).
absl::StatusOr<std::unique_ptr<const Objective>> MakeDenoisingObjective(
    const SchedulerConfig& scheduler, const ObjectiveOptions& options, torch::Device device);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_DENOISING_OBJECTIVE_H_
