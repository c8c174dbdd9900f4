// How much each noise level counts in training. With SNR_t = alpha_bar_t / (1 - alpha_bar_t), a
// squared error of x0-hat is one of any other prediction up to a factor: of eps-hat times SNR_t, of
// v-hat times SNR_t + 1, of the score times alpha_bar_t / (1 - alpha_bar_t)^2. So a weight of the
// levels and what the network predicts are two choices, and the first does not change with the
// second:
//
//   simple   1 on the error of eps (Ho et al. 2020, equation 14)
//   bound    beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t)) on that of eps (equation 12),
//   sigma_t^2
//            the reverse variance
//   vdm      (SNR_{t-1} - SNR_t) / 2 on that of x_0 (Kingma et al. 2021, equations 13 and 14):
//   bound
//            with the small variance
//   min_snr  min(SNR_t, gamma) on that of x_0 (Hang et al. 2023, section 3.4)
//
// and one that does change:
//
//   unit     1 on the error of whatever is predicted; of the score 1 - alpha_bar_t, which makes it
//            eps's (Song et al. 2021, equation 7)
//
// Timesteps are 0 .. T - 1, the papers' less one. At 0, where SNR_{t-1} is infinite and the small
// variance 0, the bound's term is the decoder's, -log p(x_0 | x_1) with the variance that
// VariationalBound has there, as a density. Bound and vdm are scaled so that their mean over t is
// in bits per dimension: the bound less what the network cannot change.
#ifndef DIFFUSIOND_MODEL_DIFFUSION_LOSS_WEIGHTS_H_
#define DIFFUSIOND_MODEL_DIFFUSION_LOSS_WEIGHTS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/config/choices.h"
#include "model/diffusion/noise_schedule.h"
#include "model/diffusion/variational_bound.h"

namespace diffusiond {

enum class LossWeight { kUnit, kSimple, kBound, kVdm, kMinSnr };

template <>
struct Words<LossWeight> {
  static constexpr absl::string_view kAll[] = {"unit", "simple", "bound", "vdm", "min_snr"};
};

struct LossWeighting {
  LossWeight kind = LossWeight::kUnit;
  double min_snr_gamma = 5;  // Above 0.

  friend bool operator==(const LossWeighting&, const LossWeighting&) = default;
};

// OK if every field is in range; else names it, its value and the range.
absl::Status Validate(const LossWeighting& weighting);

// [T]: factors of the mean squared error of a network that predicts `prediction`. `variance` is
// sigma_t^2 of "bound"; a learned one counts as the small one. INVALID_ARGUMENT: as Validate, or a
// factor is not finite, as where alpha_bar is 0 and eps says nothing about x_0.
absl::StatusOr<std::vector<double>> LossWeights(const NoiseSchedule& schedule,
                                                PredictionType prediction, ReverseVariance variance,
                                                const LossWeighting& weighting);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_DIFFUSION_LOSS_WEIGHTS_H_
