// The variational bound on -log2 p(x_0), term by term (Ho et al. 2020, equation 5):
//
//   L = L_T + sum over t > 1 of L_{t-1} + L_0
//   L_T     = KL(q(x_T | x_0) || N(0, I))
//   L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))
//   L_0     = -log p(x_0 | x_1), p the discretised Gaussian decoder (equation 13)
//
// in bits per dimension: nats over (C H W ln 2). Timesteps here are 0 .. T - 1, the paper's less
// one: Term(0) is L_0, Term(t) is L_t.
#ifndef DIFFUSIOND_MODEL_DIFFUSION_VARIATIONAL_BOUND_H_
#define DIFFUSIOND_MODEL_DIFFUSION_VARIATIONAL_BOUND_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace diffusiond {

// The variance of p(x_{t-1} | x_t).
enum class ReverseVariance {
  kFixedSmall,    // beta_tilde_t (equation 7).
  kFixedLarge,    // beta_t; at t = 0, as the paper's own code has it, beta_tilde_1.
  kLearned,       // The network gives its logarithm.
  kLearnedRange,  // v in [-1, 1] between the two in log space (Nichol and Dhariwal 2021, eq. 15).
};

// SchedulerConfig::variance_type; its log variants stand for the same variances.
absl::StatusOr<ReverseVariance> ParseReverseVariance(const std::string& variance_type);

// -log2 of the mass that N(mean, exp(2 log_scale)) gives the bin of half-width 1/255 around x, the
// outermost bins open (equation 13), by the tanh approximation to the normal distribution function
// and with the floor of 1e-12 that the authors' code uses, so that numbers compare. The
// approximation is within 2e-4 of the function. x is a byte over 127.5, less 1.
double DiscretizedGaussianBits(double x, double mean, double log_scale);

// KL(N(mean1, exp(log_variance1)) || N(mean2, exp(log_variance2))), in bits.
double GaussianKlBits(double mean1, double log_variance1, double mean2, double log_variance2);

// Immutable. All in float64.
class VariationalBound {
 public:
  struct Step {
    // Mean of q(x_{t-1} | x_t, x_0) = mean_x0 x_0 + mean_xt x_t (equation 7).
    double mean_x0, mean_xt;
    double log_posterior;  // log beta_tilde_t; at t = 0, where that is 0, of t = 1.
    double log_beta;
    double log_reverse;  // Of a fixed variance.
  };

  // `betas` as a NoiseSchedule has them: at least one, alpha_bar in (0, 1), the last may be 0.
  VariationalBound(std::span<const double> betas, ReverseVariance variance);

  int64_t num_timesteps() const { return static_cast<int64_t>(alpha_bars_.size()); }
  bool learned() const;
  double alpha_bar(int64_t t) const { return alpha_bars_[static_cast<size_t>(t)]; }
  const Step& step(int64_t t) const { return steps_[static_cast<size_t>(t)]; }

  // x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps (equation 4).
  void Diffuse(int64_t t, std::span<const float> x0, std::span<const float> eps,
               std::span<float> x_t) const;

  // L_T of an image, x0 in [-1, 1].
  double PriorBits(std::span<const float> x0) const;

  // L_t of an image. x0_hat is the model's, clipped if the sampler clips; `v`, as long as x0, is
  // what a network with learned variance adds, else empty. 0 <= t < T.
  double TermBits(int64_t t, std::span<const float> x0, std::span<const float> x_t,
                  std::span<const float> x0_hat, std::span<const float> v = {}) const;

 private:
  double ReverseLogVariance(const Step& step, std::span<const float> v, size_t i) const;

  ReverseVariance variance_;
  std::vector<double> alpha_bars_;
  std::vector<Step> steps_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_DIFFUSION_VARIATIONAL_BOUND_H_
