#include "model/training/objectives/bound_term.h"

#include <cmath>
#include <numbers>
#include <vector>

namespace diffusiond {
namespace {

torch::Tensor NormalCdf(const torch::Tensor& x) {
  return 0.5 * (1 + torch::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

// DiscretizedGaussianBits.
torch::Tensor DecoderBits(const torch::Tensor& x, const torch::Tensor& mean,
                          const torch::Tensor& log_variance) {
  constexpr double kHalfBin = 1.0 / 255, kOutermost = 0.999, kLeastMass = 1e-12;
  const torch::Tensor inverse_scale = torch::exp(-0.5 * log_variance);
  const torch::Tensor below = NormalCdf(inverse_scale * (x - mean - kHalfBin));
  const torch::Tensor upto = NormalCdf(inverse_scale * (x - mean + kHalfBin));
  const torch::Tensor mass =
      torch::where(x < -kOutermost, upto, torch::where(x > kOutermost, 1 - below, upto - below));
  return -torch::log2(mass.clamp_min(kLeastMass));
}

}  // namespace

BoundTerm::BoundTerm(const VariationalBound& bound, torch::Device device) {
  std::vector<double> mean_x0, log_posterior, log_beta;
  for (int64_t t = 0; t < bound.num_timesteps(); ++t) {
    mean_x0.push_back(bound.step(t).mean_x0);
    log_posterior.push_back(bound.step(t).log_posterior);
    log_beta.push_back(bound.step(t).log_beta);
  }
  const auto table = [device](const std::vector<double>& values) {
    return torch::tensor(values, torch::kFloat64).to(torch::kFloat32).to(device);
  };
  mean_x0_ = table(mean_x0);
  log_posterior_ = table(log_posterior);
  log_beta_ = table(log_beta);
}

torch::Tensor BoundTerm::Bits(const torch::Tensor& timesteps, const torch::Tensor& x0,
                              const torch::Tensor& x0_hat, const torch::Tensor& v) const {
  const auto at_timesteps = [&](const torch::Tensor& of_t) {
    return of_t.index_select(0, timesteps).view({-1, 1, 1, 1});
  };
  const torch::Tensor log_posterior = at_timesteps(log_posterior_);
  const torch::Tensor share = (v + 1) / 2;
  const torch::Tensor log_variance = share * at_timesteps(log_beta_) + (1 - share) * log_posterior;
  // Both means have the same part of x_t.
  const torch::Tensor difference = at_timesteps(mean_x0_) * (x0 - x0_hat);
  const torch::Tensor kl =
      0.5 * std::numbers::log2e *
      (log_variance - log_posterior - 1 + torch::exp(log_posterior - log_variance) +
       difference.square() * torch::exp(-log_variance));
  const torch::Tensor decoder = DecoderBits(x0, x0_hat, log_variance);
  const torch::Tensor is_decoder = (timesteps == 0).view({-1, 1, 1, 1});
  return torch::where(is_decoder, decoder, kl).flatten(1).mean(1);
}

}  // namespace diffusiond
