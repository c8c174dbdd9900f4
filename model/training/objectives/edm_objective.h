// Denoising score matching as Karras et al. 2022 have it (section 5, table 1, column "Ours"):
//
//   E[lambda(sigma) ||D(x_0 + sigma eps; sigma) - x_0||^2],  ln sigma ~ N(P_mean, P_std^2),
//   lambda = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2,
//   D(x; sigma) = c_skip x + c_out F(c_in x; 1/4 ln sigma)
//
// with c_skip, c_out and c_in as VarianceExplodingRow has them (model/sampling/network_row.h). As
// lambda c_out^2 = 1, that is the mean squared error of F against (x_0 - c_skip x) / c_out
// (equation 8).
#ifndef DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_EDM_OBJECTIVE_H_
#define DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_EDM_OBJECTIVE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/training/objectives/objective.h"

namespace diffusiond {

// For a scheduler of EDM. A batch's level is where its sigma stands in the distribution.
absl::StatusOr<std::unique_ptr<const Objective>> MakeEdmObjective(const SchedulerConfig& scheduler,
                                                                  const ObjectiveOptions& options);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_EDM_OBJECTIVE_H_
