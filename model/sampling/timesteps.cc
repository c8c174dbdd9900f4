#include "model/sampling/timesteps.h"

#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {

absl::StatusOr<std::vector<int64_t>> SpacedTimesteps(int64_t num_train_timesteps, int64_t steps,
                                                     const std::string& spacing,
                                                     int64_t steps_offset) {
  const int64_t t_count = num_train_timesteps;
  if (steps < 1 || steps > t_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("steps is ", steps, "; it must be 1 .. ", t_count));
  }
  const double n = static_cast<double>(steps);
  const double last = static_cast<double>(t_count - 1);
  std::vector<int64_t> timesteps;
  timesteps.reserve(static_cast<size_t>(steps));
  for (int64_t i = 0; i < steps; ++i) {
    const double k = static_cast<double>(i);
    if (spacing == "leading") {
      timesteps.push_back((steps - 1 - i) * (t_count / steps) + steps_offset);
    } else if (spacing == "trailing") {
      const double ratio = static_cast<double>(t_count) / n;
      timesteps.push_back(
          static_cast<int64_t>(std::nearbyint(static_cast<double>(t_count) - k * ratio)) - 1);
    } else if (spacing == "linspace") {
      // numpy: i * step, and the end point exact. One step visits 0.
      const double j = n - 1 - k;
      const double value = steps == 1 ? 0 : (j == n - 1 ? last : j * (last / (n - 1)));
      timesteps.push_back(static_cast<int64_t>(std::nearbyint(value)));
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "timestep_spacing is \"", spacing, "\"; it must be leading, trailing or linspace"));
    }
  }
  if (timesteps.front() >= t_count) {
    return absl::InvalidArgumentError(absl::StrCat(
        "steps ", steps, " with timestep_spacing leading and steps_offset ", steps_offset,
        " starts at timestep ", timesteps.front(), "; the model knows 0 .. ", t_count - 1));
  }
  return timesteps;
}

}  // namespace diffusiond
