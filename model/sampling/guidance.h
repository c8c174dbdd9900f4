// Classifier-free guidance: how one row mixes what the network says with and without the class.
#ifndef DIFFUSIOND_MODEL_SAMPLING_GUIDANCE_H_
#define DIFFUSIOND_MODEL_SAMPLING_GUIDANCE_H_

#include <limits>
#include <span>

#include "model/sampling/sampling_plan.h"

namespace diffusiond {

struct Guidance {
  // F = F(null) + scale * (F(class) - F(null)) (Ho and Salimans 2022, equation 6, scale = 1 + w).
  // 1: F(class) alone, one network row in place of two.
  double scale = 1;
  // Acts at noise levels sigma_min .. sigma_max only (Kynkaanniemi et al. 2024).
  double sigma_min = 0;
  double sigma_max = std::numeric_limits<double>::infinity();
  // Part, 0 .. 1, of F that is brought back to the standard deviation of F(class) (Lin et al. 2023,
  // equations 14 to 16).
  double rescale = 0;

  bool ActsOn(const PlanRow& row) const {
    return scale != 1 && Sigma(row) >= sigma_min && Sigma(row) <= sigma_max;
  }
};

// Network rows that this plan row takes.
inline int NetworkRows(const Guidance& guidance, const PlanRow& row) {
  return guidance.ActsOn(row) ? 2 : 1;
}

// f holds F(class), and then F. One image; what it becomes depends on nothing else.
void Guide(const Guidance& guidance, std::span<const float> f_null, std::span<float> f);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_GUIDANCE_H_
