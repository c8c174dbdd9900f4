// Guidance: how one row turns what the network says towards the class. Classifier-free: by what it
// says without the class. By a classifier: by the gradient of the class's probability.
#ifndef DIFFUSIOND_MODEL_SAMPLING_GUIDANCE_H_
#define DIFFUSIOND_MODEL_SAMPLING_GUIDANCE_H_

#include <limits>
#include <span>

#include "model/config/option.h"
#include "model/sampling/sampling_options.h"
#include "model/sampling/sampling_plan.h"

namespace diffusiond {

struct Guidance {
  // F = F(null) + scale * (F(class) - F(null)) (Ho and Salimans 2022, equation 6, scale = 1 + w).
  // 1: F(class) alone, one network pass in place of two.
  double scale = 1;
  // gamma: the score is that of p(x_t) p(class | x_t)^gamma (Dhariwal and Nichol 2021, algorithm 2;
  // Song et al. 2021, equation 14). 0: no classifier is asked, else one network pass more.
  double classifier_scale = 0;
  // Both act at noise levels sigma_min .. sigma_max only (Kynkaanniemi et al. 2024).
  double sigma_min = 0;
  double sigma_max = std::numeric_limits<double>::infinity();
  // Part, 0 .. 1, of F that is brought back to the standard deviation of F(class) (Lin et al. 2023,
  // equations 14 to 16), by classifier-free guidance.
  double rescale = 0;

  friend bool operator==(const Guidance&, const Guidance&) = default;

  bool ActsAt(double sigma) const { return sigma >= sigma_min && sigma <= sigma_max; }
  bool AsksWithoutClass(const PlanRow& row) const { return scale != 1 && ActsAt(Sigma(row)); }
  // Where nothing but noise is left, p(class | x_t) does not depend on x_t; where no noise is, the
  // score has no part in D.
  bool AsksClassifier(const PlanRow& row) const {
    return classifier_scale != 0 && row.signal > 0 && row.noise > 0 && ActsAt(Sigma(row));
  }
};

inline constexpr double kMaxGuidanceScale = 50;

// As kSamplingOptions; every sampler reads them.
inline constexpr Option<Guidance> kGuidanceOptions[] = {
    MakeOption<&Guidance::scale>("guidance_scale", {0, kMaxGuidanceScale},
                                 "classifier-free guidance; 1 is none, more is more typical of the "
                                 "class"),
    MakeOption<&Guidance::classifier_scale>("classifier_scale", {0, kMaxGuidanceScale},
                                            "guidance by the model's classifier; 0 is none"),
    MakeOption<&Guidance::sigma_min>("guidance_sigma_min", {0, kAnyNumber},
                                     "no guidance below this noise level"),
    MakeOption<&Guidance::sigma_max>("guidance_sigma_max", {0, kAnyNumber},
                                     "no guidance above this noise level"),
    MakeOption<&Guidance::rescale>("guidance_rescale", {0, 1},
                                   "part of what guidance adds to the contrast that is taken back"),
};

// Rows of the denoiser that this plan row takes.
inline int DenoiserPasses(const Guidance& guidance, const PlanRow& row) {
  return guidance.AsksWithoutClass(row) ? 2 : 1;
}

// With those of the classifier: 1 .. kMaxPasses.
inline int NetworkPasses(const Guidance& guidance, const PlanRow& row) {
  return DenoiserPasses(guidance, row) + (guidance.AsksClassifier(row) ? 1 : 0);
}

inline constexpr int kMaxPasses = 3;

// f holds F(class), and then F. One image; what it becomes depends on nothing else.
void Guide(const Guidance& guidance, std::span<const float> f_null, std::span<float> f);

// Adds gamma times the classifier's part to F. `gradient`: of log p(class | x, t) by what the
// networks are given, c_in x. By Tweedie's formula D = (x + noise^2 score) / signal, so
//   F += gamma noise^2 c_in / (signal d_f) gradient.
void GuideByClassifier(const Guidance& guidance, const PlanRow& row,
                       std::span<const float> gradient, std::span<float> f);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_GUIDANCE_H_
