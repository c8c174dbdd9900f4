#include "model/diffusion/noise_angle.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace diffusiond {

absl::StatusOr<NoiseAngles> NoiseAngles::Create(const NoiseSchedule& schedule) {
  std::vector<double> angles;
  for (int64_t t = 0; t < schedule.num_train_timesteps(); ++t) {
    const double alpha_bar = schedule.alpha_bar(t);
    angles.push_back(std::atan2(std::sqrt(1 - alpha_bar), std::sqrt(alpha_bar)));
    if (t > 0 && !(angles[static_cast<size_t>(t)] > angles[static_cast<size_t>(t) - 1])) {
      return absl::InvalidArgumentError(
          absl::StrCat("alphas_cumprod[", t, "] = ", alpha_bar,
                       "; it must be below the one before: the ODE needs a time for each noise "
                       "level"));
    }
  }
  if (angles.size() < 2) {
    return absl::InvalidArgumentError("num_train_timesteps is 1; the ODE needs at least 2");
  }
  return NoiseAngles(std::move(angles));
}

double NoiseAngles::TimestepAt(double phi) const {
  const auto above = std::upper_bound(angles_.begin(), angles_.end(), phi);
  if (above == angles_.begin()) return 0;
  const double below_index = static_cast<double>(above - angles_.begin() - 1);
  if (above == angles_.end()) return below_index;
  const double below = *(above - 1);
  return below_index + (phi - below) / (*above - below);
}

std::vector<double> NoiseAngles::Grid(int64_t steps) const {
  const double first = std::log(std::tan(least() / 2)), last = std::log(std::tan(most() / 2));
  std::vector<double> grid;
  for (int64_t i = 0; i <= steps; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(steps);
    grid.push_back(2 * std::atan(std::exp(first + (last - first) * share)));
  }
  grid.front() = least();
  grid.back() = most();
  return grid;
}

}  // namespace diffusiond
