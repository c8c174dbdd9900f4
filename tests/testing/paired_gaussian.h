// A model whose likelihood and Jacobian are known, with correlated pixels.
#ifndef DIFFUSIOND_TESTS_TESTING_PAIRED_GAUSSIAN_H_
#define DIFFUSIOND_TESTS_TESTING_PAIRED_GAUSSIAN_H_

#include <cmath>
#include <cstdint>
#include <span>
#include <utility>

#include "model/diffusion/noise_schedule.h"
#include "model/evaluation/network_vjp.h"

namespace diffusiond {

// The exact denoiser, with its Jacobian, of images whose pixels come in pairs (1-2, 3-4, ...) with
// means `mean`, variances `variance` and covariance `covariance`.
class PairedGaussian : public NetworkVjp {
 public:
  struct Options {
    int micro_batch = 1;
    int side = 4;
    double mean = 0;
    double variance = 0.04;
    double covariance = 0;
    PredictionType prediction_type = PredictionType::kEpsilon;
  };
  PairedGaussian(NoiseSchedule schedule, Options options)
      : schedule_(std::move(schedule)), options_(options) {}

  ImageShape shape() const override { return {1, options_.side, options_.side}; }
  int micro_batch() const override { return options_.micro_batch; }

  absl::Status Evaluate(std::span<const float> x, std::span<const float> timesteps,
                        std::span<const int64_t>, std::span<const float> probe, std::span<float> f,
                        std::span<float> vjp) override {
    const size_t n = x.size() / timesteps.size();
    for (size_t i = 0; i < x.size(); i += 2) {
      const double phi = AngleAt(timesteps[i / n]);
      const double signal = std::cos(phi), noise = std::sin(phi);
      // x_0-hat = mean + signal S (signal^2 S + noise^2)^-1 (x - signal mean), along the
      // eigenvectors (1, 1) and (1, -1) of S; a and b are the matrix's entries.
      const auto gain = [&](double eigenvalue) {
        return signal * eigenvalue / (signal * signal * eigenvalue + noise * noise);
      };
      const double sum = gain(options_.variance + options_.covariance);
      const double difference = gain(options_.variance - options_.covariance);
      const double a = (sum + difference) / 2, b = (sum - difference) / 2;
      const double u0 = x[i] - signal * options_.mean, u1 = x[i + 1] - signal * options_.mean;
      const double x0[2] = {options_.mean + a * u0 + b * u1, options_.mean + b * u0 + a * u1};
      const double pulled[2] = {a * probe[i] + b * probe[i + 1], b * probe[i] + a * probe[i + 1]};
      for (size_t k = 0; k < 2; ++k) {
        const double eps = (x[i + k] - signal * x0[k]) / noise;
        const double eps_vjp = (probe[i + k] - signal * pulled[k]) / noise;
        const bool velocity = options_.prediction_type == PredictionType::kVelocity;
        f[i + k] = static_cast<float>(velocity ? signal * eps - noise * x0[k] : eps);
        vjp[i + k] = static_cast<float>(velocity ? signal * eps_vjp - noise * pulled[k] : eps_vjp);
      }
    }
    return absl::OkStatus();
  }

 private:
  double AngleAt(double timestep) const {
    const auto angle = [&](int64_t t) { return std::acos(std::sqrt(schedule_.alpha_bar(t))); };
    const auto below = static_cast<int64_t>(timestep);
    const double share = timestep - static_cast<double>(below);
    if (share == 0) return angle(below);
    return (1 - share) * angle(below) + share * angle(below + 1);
  }

  const NoiseSchedule schedule_;
  const Options options_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_PAIRED_GAUSSIAN_H_
