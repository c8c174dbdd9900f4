#include "model/evaluation/timestep_strata.h"

#include <algorithm>
#include <cmath>

#include "model/evaluation/random_streams.h"
#include "model/sampling/philox.h"

namespace diffusiond {
namespace {

constexpr double kUniformShare = 0.1;

double SignalToNoise(double alpha_bar) { return alpha_bar / (1 - alpha_bar); }

}  // namespace

TimestepStrata::TimestepStrata(const VariationalBound& bound, double data_variance, int64_t count)
    : count_(count), mass_(static_cast<size_t>(bound.num_timesteps())) {
  const int64_t timesteps = bound.num_timesteps();
  if (count_ <= 0 || count_ >= timesteps - 1) {
    count_ = 0;
    return;
  }
  double sum = 0;
  for (int64_t t = 1; t < timesteps; ++t) {
    const double alpha_bar = bound.alpha_bar(t);
    const double mse =
        data_variance * (1 - alpha_bar) / (alpha_bar * data_variance + 1 - alpha_bar);
    double& mass = mass_[static_cast<size_t>(t)];
    mass = (SignalToNoise(bound.alpha_bar(t - 1)) - SignalToNoise(alpha_bar)) * mse;
    sum += mass;
  }
  double cumulative = 0;
  for (int64_t t = 0; t < timesteps; ++t) {
    double& mass = mass_[static_cast<size_t>(t)];
    if (t > 0) {
      mass = kUniformShare / static_cast<double>(timesteps - 1) +
             (1 - kUniformShare) * (sum > 0 ? mass / sum : 0);
    }
    cumulative_.push_back(cumulative += mass);
  }
  for (double& value : cumulative_) value /= cumulative;
  for (double& value : mass_) value /= cumulative;
}

std::vector<WeightedTimestep> TimestepStrata::Draw(uint64_t seed, int64_t image) const {
  std::vector<WeightedTimestep> drawn;
  if (count_ == 0) {
    for (size_t t = 1; t < mass_.size(); ++t) drawn.push_back({static_cast<int64_t>(t), 1});
    return drawn;
  }
  for (int64_t stratum = 0; stratum < count_; ++stratum) {
    const double inside = EvaluationUniform(seed, kStratumStream, image, stratum);
    const double position = (static_cast<double>(stratum) + inside) / static_cast<double>(count_);
    // Timestep 0 has no mass, so it is never found.
    const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), position);
    const size_t t = std::min(static_cast<size_t>(found - cumulative_.begin()), mass_.size() - 1);
    const double weight = 1 / (static_cast<double>(count_) * mass_[t]);
    if (!drawn.empty() && drawn.back().t == static_cast<int64_t>(t)) {
      drawn.back().weight += weight;
    } else {
      drawn.push_back({static_cast<int64_t>(t), weight});
    }
  }
  return drawn;
}

}  // namespace diffusiond
