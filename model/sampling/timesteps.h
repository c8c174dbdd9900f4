// Which of the T training timesteps a sampler with n steps visits (Lin et al. 2023, table 2).
#ifndef DIFFUSIOND_MODEL_SAMPLING_TIMESTEPS_H_
#define DIFFUSIOND_MODEL_SAMPLING_TIMESTEPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/sampling/sampler.h"

namespace diffusiond {

// INVALID_ARGUMENT: n outside 1 .. T.
absl::Status CheckSteps(int64_t num_train_timesteps, int64_t steps);

// Decreasing. "leading": multiples of T / n (integer division) plus steps_offset; "trailing": from
// T - 1 down in steps of T / n; "linspace": T - 1 down to 0, evenly. Halves round to even, as
// numpy. INVALID_ARGUMENT: n outside 1 .. T, unknown spacing, or a timestep outside 0 .. T - 1.
absl::StatusOr<std::vector<int64_t>> SpacedTimesteps(int64_t num_train_timesteps, int64_t steps,
                                                     const std::string& spacing,
                                                     int64_t steps_offset);

// The same, but "linspace" is not rounded.
absl::StatusOr<std::vector<double>> FractionalTimesteps(int64_t num_train_timesteps, int64_t steps,
                                                        const std::string& spacing,
                                                        int64_t steps_offset);

// How many of the steps of options.steps are left out at options.strength, the first ones.
// INVALID_ARGUMENT: a strength outside 0 .. 1, or all of them.
absl::StatusOr<int64_t> SkippedSteps(const SamplingOptions& options);

// SpacedTimesteps of the options, less those that are skipped.
absl::StatusOr<std::vector<int64_t>> VisitedTimesteps(const ModelSchedule& model,
                                                      const SamplingOptions& options);

// For solvers that count the end as a step of the spacing: "leading" and "linspace" space n + 1 of
// the first `usable` timesteps and drop the smallest, so they never visit 0; not always distinct.
absl::StatusOr<std::vector<int64_t>> SolverTimesteps(int64_t num_train_timesteps, int64_t usable,
                                                     int64_t steps, const std::string& spacing,
                                                     int64_t steps_offset);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_TIMESTEPS_H_
