// D and epsilon as linear functions of the network's input x_t and output F.
#ifndef DIFFUSIOND_MODEL_DIFFUSION_PARAMETERIZATION_H_
#define DIFFUSIOND_MODEL_DIFFUSION_PARAMETERIZATION_H_

#include <cmath>

#include "model/diffusion/noise_schedule.h"

namespace diffusiond {

// x0-hat = x0_x * x + x0_f * F and eps-hat = eps_x * x + eps_f * F, from
// x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps (Ho et al. 2020, equation 4).
struct Parameterization {
  double x0_x, x0_f;
  double eps_x, eps_f;
};

inline Parameterization Parameterize(PredictionType type, double alpha_bar) {
  const double signal = std::sqrt(alpha_bar);
  const double noise = std::sqrt(1 - alpha_bar);
  switch (type) {
    case PredictionType::kSample:
      return {0, 1, 1 / noise, -signal / noise};
    case PredictionType::kVelocity:
      return {signal, -noise, noise, signal};
    case PredictionType::kScore:
      return {1 / signal, noise * noise / signal, 0, -noise};
    case PredictionType::kEpsilon:
      break;
  }
  return {1 / signal, -noise / signal, 0, 1};
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_DIFFUSION_PARAMETERIZATION_H_
