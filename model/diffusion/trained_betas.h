// A noise schedule given by gamma_t = -log SNR_t = log((1 - alpha_bar_t) / alpha_bar_t), as
// variational diffusion models state it (Kingma et al. 2021, section 3.2), in DDPM's betas.
#ifndef DIFFUSIOND_MODEL_DIFFUSION_TRAINED_BETAS_H_
#define DIFFUSIOND_MODEL_DIFFUSION_TRAINED_BETAS_H_

#include <span>
#include <vector>

namespace diffusiond {

// Where alpha_bar in float32, as NoiseSchedule and diffusers keep it, still is below 1; and where
// next to nothing of the image is left.
inline constexpr double kLeastGamma = -15, kMostGamma = 15;

// [T]: beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}, alpha_bar_{-1} = 1, for
// SchedulerConfig::trained_betas. `gammas` rise.
std::vector<double> BetasFromGammas(std::span<const double> gammas);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_DIFFUSION_TRAINED_BETAS_H_
