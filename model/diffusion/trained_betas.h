// A noise schedule given by gamma_t = -log SNR_t = log((1 - alpha_bar_t) / alpha_bar_t), as
// variational diffusion models state it (Kingma et al. 2021, section 3.2), in DDPM's betas.
#ifndef DIFFUSIOND_MODEL_DIFFUSION_TRAINED_BETAS_H_
#define DIFFUSIOND_MODEL_DIFFUSION_TRAINED_BETAS_H_

#include <span>
#include <string>
#include <vector>

namespace diffusiond {

// Where next to no noise is there, and where next to nothing of the image is left.
inline constexpr double kLeastGamma = -15, kMostGamma = 15;

// [T]: beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}, alpha_bar_{-1} = 1, for
// SchedulerConfig::trained_betas. `gammas` rise.
std::vector<double> BetasFromGammas(std::span<const double> gammas);

// The largest change of gamma_t when betas are read in float32, as diffusers does: 1 - beta loses
// the small ones. Infinite where nothing of one is left.
double LargestGammaChangeInFloat32(std::span<const double> betas);

// A sentence for whoever takes the model to diffusers, where that is more than 0.01; else empty.
std::string Float32Warning(std::span<const double> betas);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_DIFFUSION_TRAINED_BETAS_H_
