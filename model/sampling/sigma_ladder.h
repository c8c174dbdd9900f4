// The noise levels that a sampler visits, as sigma of x_0 + sigma eps; sigma^2 = 1 / alpha_bar - 1.
#ifndef DIFFUSIOND_MODEL_SAMPLING_SIGMA_LADDER_H_
#define DIFFUSIOND_MODEL_SAMPLING_SIGMA_LADDER_H_

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "model/sampling/sampler.h"

namespace diffusiond {

struct SigmaLadder {
  std::vector<double> sigmas;     // n + 1, decreasing; the last is where the image stands: 0 or
                                  // the smallest sigma of the training timesteps.
  std::vector<double> timesteps;  // n: what the network is told at each but the last.

  int steps() const { return static_cast<int>(timesteps.size()); }
  // The timestep that x stands at after step i.
  double next_timestep(int i) const {
    return i + 1 < steps() ? timesteps[static_cast<size_t>(i) + 1] : 0;
  }
};

// For Euler, Heun, LMS and Langevin: timesteps may be fractional, with sigma between training
// timesteps by linear interpolation; "karras" (Karras et al. 2022, equation 5, rho 7),
// "exponential" (even in log(sigma)) and "beta" (Lee et al. 2024) run between the ends of the
// spaced timesteps, or from the model's sigma_max to its sigma_min. A model of EDM has these three
// alone, between its sigma_max and sigma_min with its rho, and 0.25 log(sigma) for timesteps.
// INVALID_ARGUMENT names the option.
absl::StatusOr<SigmaLadder> FractionalLadder(const ModelSchedule& model,
                                             const SamplingOptions& options);

// The fractional ladder with each sigma but the last times its factor, 1 or more, and the timesteps
// of these; above the training sigmas that is the last.
SigmaLadder Raised(const ModelSchedule& model, SigmaLadder ladder, std::span<const double> factors);

// The standard deviation of x before the first step of a fractional ladder.
double InitNoiseSigma(const ModelSchedule& model, const SigmaLadder& ladder,
                      const SamplingOptions& options);

enum class Rounding { kNearest, kDown };

// For multistep solvers in log(sigma): integer timesteps of SolverTimesteps; "karras",
// "exponential" and "beta" run between the ends of the training timesteps or the model's own. As
// diffusers the network is told a whole timestep there, rounded as `rounding` says. Strictly
// decreasing, else INVALID_ARGUMENT.
absl::StatusOr<SigmaLadder> SolverLadder(const ModelSchedule& model, const SamplingOptions& options,
                                         Rounding rounding);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_SIGMA_LADDER_H_
