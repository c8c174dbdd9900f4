// How many nats it takes to name a byte x of which z_0 = alpha_0 x + sigma_0 eps is known, by
// p(x | z_0) in proportion to q(z_0 | x) (Kingma et al. 2021, section 3.3): the last part of a
// variational diffusion model's bound, which has no network.
#ifndef DIFFUSIOND_MODEL_DIFFUSION_LEVEL_DECODER_H_
#define DIFFUSIOND_MODEL_DIFFUSION_LEVEL_DECODER_H_

#include <array>

namespace diffusiond {

inline constexpr int kByteLevels = 256;

// E[-log p(x | z_0)] over eps for each byte, and its derivative by gamma_0.
struct LevelDecoderNats {
  std::array<double, kByteLevels> value;
  std::array<double, kByteLevels> slope;
};

// gamma_0 = log(sigma_0^2 / alpha_0^2) for x in [-1, 1]; by the trapezoid rule, to about 1e-4.
LevelDecoderNats DecodeLevels(double gamma_0);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_DIFFUSION_LEVEL_DECODER_H_
