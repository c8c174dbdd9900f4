#include "model/diffusion/trained_betas.h"

#include <cmath>

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

}  // namespace diffusiond
