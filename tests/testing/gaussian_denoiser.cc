#include "tests/testing/gaussian_denoiser.h"

#include <cmath>
#include <utility>

namespace diffusiond {

GaussianDenoiser::GaussianDenoiser(NoiseSchedule schedule, Options options)
    : schedule_(std::move(schedule)), options_(std::move(options)) {}

absl::Status GaussianDenoiser::Predict(std::span<const float> x, std::span<const float> timesteps,
                                       std::span<const int64_t> labels, std::span<float> f) {
  ++calls_;
  const size_t n = static_cast<size_t>(options_.shape.elements());
  for (size_t row = 0; row < timesteps.size(); ++row) {
    const double alpha_bar = schedule_.alpha_bar(static_cast<int64_t>(timesteps[row]));
    const double mean = options_.means[static_cast<size_t>(labels[row])];
    const double variance = alpha_bar * options_.deviation * options_.deviation + 1 - alpha_bar;
    for (size_t i = row * n; i < (row + 1) * n; ++i) {
      f[i] = static_cast<float>(std::sqrt(1 - alpha_bar) * (x[i] - std::sqrt(alpha_bar) * mean) /
                                variance);
    }
  }
  return absl::OkStatus();
}

}  // namespace diffusiond
