#include "model/sampling/timesteps.h"

#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

absl::Status CheckSpacing(const std::string& spacing) {
  if (spacing == "leading" || spacing == "trailing" || spacing == "linspace") {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("timestep_spacing is \"", spacing,
                                                 "\"; it must be leading, trailing or linspace"));
}

absl::Status CheckFirst(double first, int64_t t_count, int64_t steps, int64_t steps_offset) {
  if (first < static_cast<double>(t_count)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "steps ", steps, " with timestep_spacing leading and steps_offset ", steps_offset,
      " starts at timestep ", first, "; the model knows 0 .. ", t_count - 1));
}

// Entry i, from the first, of numpy.linspace(0, last, n) reversed: i * step, and the end point
// exact. One entry is 0.
double Linspace(double last, int64_t n, int64_t i) {
  if (n == 1) return 0;
  if (i == 0) return last;
  return static_cast<double>(n - 1 - i) * (last / static_cast<double>(n - 1));
}

// From `top` down in steps of t_count / n, less 1.
int64_t Trailing(int64_t top, int64_t t_count, int64_t n, int64_t i) {
  const double ratio = static_cast<double>(t_count) / static_cast<double>(n);
  return static_cast<int64_t>(
             std::nearbyint(static_cast<double>(top) - static_cast<double>(i) * ratio)) -
         1;
}

}  // namespace

absl::Status CheckSteps(int64_t num_train_timesteps, int64_t steps) {
  if (steps >= 1 && steps <= num_train_timesteps) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("steps is ", steps, "; it must be 1 .. ", num_train_timesteps));
}

absl::StatusOr<std::vector<double>> FractionalTimesteps(int64_t num_train_timesteps, int64_t steps,
                                                        const std::string& spacing,
                                                        int64_t steps_offset) {
  const int64_t t_count = num_train_timesteps;
  if (absl::Status status = CheckSteps(t_count, steps); !status.ok()) return status;
  if (absl::Status status = CheckSpacing(spacing); !status.ok()) return status;
  std::vector<double> timesteps;
  timesteps.reserve(static_cast<size_t>(steps));
  for (int64_t i = 0; i < steps; ++i) {
    if (spacing == "linspace") {
      timesteps.push_back(Linspace(static_cast<double>(t_count - 1), steps, i));
    } else {
      timesteps.push_back(static_cast<double>(
          spacing == "leading" ? (steps - 1 - i) * (t_count / steps) + steps_offset
                               : Trailing(t_count, t_count, steps, i)));
    }
  }
  if (absl::Status status = CheckFirst(timesteps.front(), t_count, steps, steps_offset);
      !status.ok()) {
    return status;
  }
  return timesteps;
}

absl::StatusOr<std::vector<int64_t>> SpacedTimesteps(int64_t num_train_timesteps, int64_t steps,
                                                     const std::string& spacing,
                                                     int64_t steps_offset) {
  absl::StatusOr<std::vector<double>> timesteps =
      FractionalTimesteps(num_train_timesteps, steps, spacing, steps_offset);
  if (!timesteps.ok()) return timesteps.status();
  std::vector<int64_t> rounded;
  rounded.reserve(timesteps->size());
  for (const double t : *timesteps) rounded.push_back(static_cast<int64_t>(std::nearbyint(t)));
  return rounded;
}

absl::StatusOr<int64_t> SkippedSteps(const SamplingOptions& options) {
  // What a float says of 0.7 is a little less.
  constexpr double kRounding = 1e-4;
  const double run = std::floor(static_cast<double>(options.steps) * options.strength + kRounding);
  if (options.strength > 0 && options.strength <= 1 && run >= 1) {
    return options.steps - static_cast<int64_t>(run);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "strength is ", options.strength, "; it must be above 0, up to 1, and leave one of the ",
      options.steps, " steps"));
}

absl::StatusOr<std::vector<int64_t>> VisitedTimesteps(const ModelSchedule& model,
                                                      const SamplingOptions& options) {
  absl::StatusOr<std::vector<int64_t>> timesteps =
      SpacedTimesteps(model.schedule.num_train_timesteps(), options.steps, options.timestep_spacing,
                      model.steps_offset);
  if (!timesteps.ok()) return timesteps;
  const absl::StatusOr<int64_t> skipped = SkippedSteps(options);
  if (!skipped.ok()) return skipped.status();
  timesteps->erase(timesteps->begin(), timesteps->begin() + static_cast<ptrdiff_t>(*skipped));
  return timesteps;
}

absl::StatusOr<std::vector<int64_t>> SolverTimesteps(int64_t num_train_timesteps, int64_t usable,
                                                     int64_t steps, const std::string& spacing,
                                                     int64_t steps_offset) {
  const int64_t t_count = num_train_timesteps;
  if (absl::Status status = CheckSteps(t_count, steps); !status.ok()) return status;
  if (absl::Status status = CheckSpacing(spacing); !status.ok()) return status;
  std::vector<int64_t> timesteps;
  timesteps.reserve(static_cast<size_t>(steps));
  for (int64_t i = 0; i < steps; ++i) {
    if (spacing == "linspace") {
      timesteps.push_back(static_cast<int64_t>(
          std::nearbyint(Linspace(static_cast<double>(usable - 1), steps + 1, i))));
    } else if (spacing == "leading") {
      timesteps.push_back((steps - i) * (usable / (steps + 1)) + steps_offset);
    } else {
      timesteps.push_back(Trailing(usable, t_count, steps, i));
    }
  }
  if (absl::Status status =
          CheckFirst(static_cast<double>(timesteps.front()), t_count, steps, steps_offset);
      !status.ok()) {
    return status;
  }
  return timesteps;
}

}  // namespace diffusiond
