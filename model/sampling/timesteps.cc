#include "model/sampling/timesteps.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

absl::Status CheckRange(double timestep, const char* verb, int64_t t_count,
                        const SamplingOptions& options, int64_t steps_offset) {
  if (timestep >= 0 && timestep < static_cast<double>(t_count)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("steps ", options.steps, " with timestep_spacing ",
                   WordOf(options.timestep_spacing), " and steps_offset ", steps_offset, " ", verb,
                   " at timestep ", timestep, "; the model knows 0 .. ", t_count - 1));
}

int64_t Round(double t) { return static_cast<int64_t>(std::nearbyint(t)); }

// Timestep k of n that divide the first `count`, counted from 0: k * count / n. diffusers takes
// multiples of the whole part of count / n, which leaves out the end where n does not divide count:
// of 1000 timesteps 700 steps begin at 699.
int64_t Multiple(int64_t count, int64_t n, int64_t k, bool as_diffusers) {
  if (as_diffusers) return k * (count / n);
  return Round(static_cast<double>(k) * static_cast<double>(count) / static_cast<double>(n));
}

// The same with the model's offset, which is of a step at most. Where it goes past the last
// timestep, for which diffusers has no table, that one is meant.
int64_t Leading(const ModelSchedule& model, int64_t count, int64_t n, int64_t k,
                bool as_diffusers) {
  const int64_t t = Multiple(count, n, k, as_diffusers) + model.steps_offset;
  const bool within_a_step = model.steps_offset <= (count + n - 1) / n;
  return as_diffusers || !within_a_step ? t : std::min(t, count - 1);
}

// Entry i, from the first, of numpy.linspace(0, last, n) reversed: i * step, and the end point
// exact. One entry is 0.
double Linspace(double last, int64_t n, int64_t i) {
  if (n == 1) return 0;
  if (i == 0) return last;
  return static_cast<double>(n - 1 - i) * (last / static_cast<double>(n - 1));
}

// From `top` down in steps of count / n, less 1.
int64_t Trailing(int64_t top, int64_t count, int64_t n, int64_t i) {
  const double ratio = static_cast<double>(count) / static_cast<double>(n);
  return Round(static_cast<double>(top) - static_cast<double>(i) * ratio) - 1;
}

// Nearly as many steps as there are timesteps, of which the solvers' spacings leave out one and an
// offset passes over one, would visit one twice.
template <typename T>
void MakeDistinct(std::vector<T>* timesteps) {
  for (size_t i = 1; i < timesteps->size(); ++i) {
    (*timesteps)[i] = std::min((*timesteps)[i], (*timesteps)[i - 1] - 1);
  }
}

}  // namespace

bool AsDiffusers(const SamplingOptions& options) {
  return options.arithmetic == Arithmetic::kDiffusers;
}

absl::Status CheckSteps(int64_t num_train_timesteps, int64_t steps) {
  if (steps >= 1 && steps <= num_train_timesteps) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("steps is ", steps, "; it must be 1 .. ", num_train_timesteps));
}

absl::StatusOr<std::vector<double>> FractionalTimesteps(const ModelSchedule& model,
                                                        const SamplingOptions& options) {
  const int64_t t_count = model.num_train_timesteps, steps = options.steps;
  const TimestepSpacing spacing = options.timestep_spacing;
  const bool as_diffusers = AsDiffusers(options);
  RETURN_IF_ERROR(CheckSteps(t_count, steps));
  // One step is from noise to an image; by the formulas of all but "trailing" it would be from 0.
  if (steps == 1 && !as_diffusers) return std::vector<double>{static_cast<double>(t_count - 1)};
  std::vector<double> timesteps;
  timesteps.reserve(static_cast<size_t>(steps));
  for (int64_t i = 0; i < steps; ++i) {
    if (spacing == TimestepSpacing::kLinspace) {
      timesteps.push_back(Linspace(static_cast<double>(t_count - 1), steps, i));
    } else {
      timesteps.push_back(
          static_cast<double>(spacing == TimestepSpacing::kLeading
                                  ? Leading(model, t_count, steps, steps - 1 - i, as_diffusers)
                                  : Trailing(t_count, t_count, steps, i)));
    }
  }
  if (spacing == TimestepSpacing::kLeading && !as_diffusers) MakeDistinct(&timesteps);
  RETURN_IF_ERROR(CheckRange(timesteps.front(), "starts", t_count, options, model.steps_offset));
  return timesteps;
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
  ASSIGN_OR_RETURN(std::vector<double> timesteps, FractionalTimesteps(model, options));
  ASSIGN_OR_RETURN(const int64_t skipped, SkippedSteps(options));
  std::vector<int64_t> rounded;
  rounded.reserve(timesteps.size());
  for (const double t : timesteps) rounded.push_back(Round(t));
  rounded.erase(rounded.begin(), rounded.begin() + static_cast<ptrdiff_t>(skipped));
  return rounded;
}

int64_t NextTimestep(const ModelSchedule& model, const SamplingOptions& options,
                     const std::vector<int64_t>& visited, size_t i) {
  if (AsDiffusers(options)) return visited[i] - model.num_train_timesteps / options.steps;
  return i + 1 < visited.size() ? visited[i + 1] : -1;
}

absl::StatusOr<std::vector<int64_t>> SolverTimesteps(const ModelSchedule& model,
                                                     const SamplingOptions& options,
                                                     int64_t usable) {
  const int64_t t_count = model.num_train_timesteps, steps = options.steps;
  const TimestepSpacing spacing = options.timestep_spacing;
  const bool as_diffusers = AsDiffusers(options);
  RETURN_IF_ERROR(CheckSteps(as_diffusers ? t_count : usable, steps));
  if (steps == 1 && !as_diffusers) return std::vector<int64_t>{usable - 1};
  std::vector<int64_t> timesteps;
  timesteps.reserve(static_cast<size_t>(steps));
  for (int64_t i = 0; i < steps; ++i) {
    if (spacing == TimestepSpacing::kLinspace) {
      timesteps.push_back(Round(Linspace(static_cast<double>(usable - 1), steps + 1, i)));
    } else if (spacing == TimestepSpacing::kLeading) {
      timesteps.push_back(Leading(model, usable, steps + 1, steps - i, as_diffusers));
    } else {
      timesteps.push_back(Trailing(usable, as_diffusers ? t_count : usable, steps, i));
    }
  }
  if (!as_diffusers) MakeDistinct(&timesteps);
  absl::Status status = CheckRange(static_cast<double>(timesteps.front()), "starts", t_count,
                                   options, model.steps_offset);
  status.Update(CheckRange(static_cast<double>(timesteps.back()), "ends", t_count, options,
                           model.steps_offset));
  if (!status.ok()) return status;
  return timesteps;
}

}  // namespace diffusiond
