#include "model/diffusion/trained_betas.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"

namespace diffusiond {

std::vector<double> BetasFromGammas(std::span<const double> gammas) {
  std::vector<double> betas;
  double before = 0;  // log alpha_bar.
  for (const double gamma : gammas) {
    const double log_alpha_bar =
        gamma > 0 ? -gamma - std::log1p(std::exp(-gamma)) : -std::log1p(std::exp(gamma));
    betas.push_back(-std::expm1(log_alpha_bar - before));
    before = log_alpha_bar;
  }
  return betas;
}

double LargestGammaChangeInFloat32(std::span<const double> betas) {
  double exact = 0, largest = 0;  // log alpha_bar.
  float product = 1;
  for (const double beta : betas) {
    exact += std::log1p(-beta);
    product *= 1 - static_cast<float>(beta);
    const double noise = 1 - static_cast<double>(product);
    if (noise <= 0) return std::numeric_limits<double>::infinity();
    const double change =
        std::log(noise / product) - std::log(-std::expm1(exact) / std::exp(exact));
    largest = std::max(largest, std::abs(change));
  }
  return largest;
}

std::string Float32Warning(std::span<const double> betas) {
  constexpr double kNoticeable = 0.01;
  const double change = LargestGammaChangeInFloat32(betas);
  if (!(change > kNoticeable)) return "";
  return absl::StrFormat(
      "trained_betas hold a learned schedule that float32, in which diffusers reads them, cannot "
      "carry: its log SNR is off by up to %.2g there; here they are read in double precision",
      change);
}

}  // namespace diffusiond
