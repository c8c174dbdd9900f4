#include "model/diffusion/variational_bound.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

double ToBits(double nats) { return nats * std::numbers::log2e; }

double NormalCdf(double x) {
  return 0.5 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

}  // namespace

absl::StatusOr<ReverseVariance> ParseReverseVariance(const std::string& variance_type) {
  if (variance_type == "fixed_small" || variance_type == "fixed_small_log") {
    return ReverseVariance::kFixedSmall;
  }
  if (variance_type == "fixed_large" || variance_type == "fixed_large_log") {
    return ReverseVariance::kFixedLarge;
  }
  if (variance_type == "learned") return ReverseVariance::kLearned;
  if (variance_type == "learned_range") return ReverseVariance::kLearnedRange;
  return absl::InvalidArgumentError(
      absl::StrCat("variance_type is \"", variance_type,
                   "\"; it must be fixed_small, fixed_small_log, fixed_large, fixed_large_log, "
                   "learned or learned_range"));
}

double DiscretizedGaussianBits(double x, double mean, double log_scale) {
  constexpr double kHalfBin = 1.0 / 255, kOutermost = 0.999, kLeastMass = 1e-12;
  const double inverse_scale = std::exp(-log_scale);
  const double below = NormalCdf(inverse_scale * (x - mean - kHalfBin));
  const double upto = NormalCdf(inverse_scale * (x - mean + kHalfBin));
  double mass = upto - below;
  if (x < -kOutermost) mass = upto;
  if (x > kOutermost) mass = 1 - below;
  return -std::log2(std::max(mass, kLeastMass));
}

double GaussianKlBits(double mean1, double log_variance1, double mean2, double log_variance2) {
  const double difference = mean1 - mean2;
  return ToBits(0.5 * (log_variance2 - log_variance1 - 1 + std::exp(log_variance1 - log_variance2) +
                       difference * difference * std::exp(-log_variance2)));
}

VariationalBound::VariationalBound(std::span<const double> betas, ReverseVariance variance)
    : variance_(variance) {
  double alpha_bar = 1;
  for (const double beta : betas) {
    const double before = alpha_bar;
    alpha_bar *= 1 - beta;
    alpha_bars_.push_back(alpha_bar);
    steps_.push_back({.mean_x0 = std::sqrt(before) * beta / (1 - alpha_bar),
                      .mean_xt = std::sqrt(1 - beta) * (1 - before) / (1 - alpha_bar),
                      .log_posterior = std::log(beta * (1 - before) / (1 - alpha_bar)),
                      .log_beta = std::log(beta),
                      .log_reverse = 0});
  }
  steps_[0].log_posterior = steps_.size() > 1 ? steps_[1].log_posterior : steps_[0].log_beta;
  for (Step& step : steps_) {
    const bool large = variance == ReverseVariance::kFixedLarge && &step != &steps_[0];
    step.log_reverse = large ? step.log_beta : step.log_posterior;
  }
}

bool VariationalBound::learned() const {
  return variance_ == ReverseVariance::kLearned || variance_ == ReverseVariance::kLearnedRange;
}

void VariationalBound::Diffuse(int64_t t, std::span<const float> x0, std::span<const float> eps,
                               std::span<float> x_t) const {
  const double signal = std::sqrt(alpha_bar(t)), noise = std::sqrt(1 - alpha_bar(t));
  for (size_t i = 0; i < x_t.size(); ++i) {
    x_t[i] = static_cast<float>(signal * x0[i] + noise * eps[i]);
  }
}

double VariationalBound::PriorBits(std::span<const float> x0) const {
  const double signal = std::sqrt(alpha_bars_.back());
  const double log_variance = std::log1p(-alpha_bars_.back());
  double sum = 0;
  for (const float value : x0) sum += GaussianKlBits(signal * value, log_variance, 0, 0);
  return sum / static_cast<double>(x0.size());
}

double VariationalBound::ReverseLogVariance(const Step& step, std::span<const float> v,
                                            size_t i) const {
  if (variance_ == ReverseVariance::kLearned) return v[i];
  if (variance_ != ReverseVariance::kLearnedRange) return step.log_reverse;
  const double share = (static_cast<double>(v[i]) + 1) / 2;
  return share * step.log_beta + (1 - share) * step.log_posterior;
}

double VariationalBound::TermBits(int64_t t, std::span<const float> x0, std::span<const float> x_t,
                                  std::span<const float> x0_hat, std::span<const float> v) const {
  const Step& step = steps_[static_cast<size_t>(t)];
  double sum = 0;
  for (size_t i = 0; i < x0.size(); ++i) {
    const double log_variance = ReverseLogVariance(step, v, i);
    const double mean = step.mean_x0 * x0_hat[i] + step.mean_xt * x_t[i];
    if (t == 0) {
      sum += DiscretizedGaussianBits(x0[i], mean, 0.5 * log_variance);
    } else {
      const double posterior_mean = step.mean_x0 * x0[i] + step.mean_xt * x_t[i];
      sum += GaussianKlBits(posterior_mean, step.log_posterior, mean, log_variance);
    }
  }
  return sum / static_cast<double>(x0.size());
}

}  // namespace diffusiond
