// Which of the T training timesteps a sampler with n steps visits (Lin et al. 2023, table 2).
#ifndef DIFFUSIOND_MODEL_SAMPLING_TIMESTEPS_H_
#define DIFFUSIOND_MODEL_SAMPLING_TIMESTEPS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/sampling/sampler.h"

namespace diffusiond {

// Whether the options ask for diffusers' arithmetic (SamplingOptions::arithmetic).
bool AsDiffusers(const SamplingOptions& options);

// INVALID_ARGUMENT: n outside 1 .. T.
absl::Status CheckSteps(int64_t num_train_timesteps, int64_t steps);

// Decreasing, distinct; one step is from T - 1. "leading": multiples of T / n, rounded, plus the
// model's steps_offset; "trailing": from T - 1 down in steps of T / n, rounded; "linspace": T - 1
// down to 0, evenly, not rounded. Halves round to even. As diffusers: multiples of the whole part
// of T / n for "leading", and one step from where the formula says. INVALID_ARGUMENT: n outside 1
// .. T, unknown spacing, or a timestep outside 0 .. T - 1.
absl::StatusOr<std::vector<double>> FractionalTimesteps(const ModelSchedule& model,
                                                        const SamplingOptions& options);

// The same rounded to whole timesteps, less those that are skipped.
absl::StatusOr<std::vector<int64_t>> VisitedTimesteps(const ModelSchedule& model,
                                                      const SamplingOptions& options);

// How many of the steps of options.steps are left out at options.strength, the first ones.
// INVALID_ARGUMENT: a strength outside 0 .. 1, or all of them.
absl::StatusOr<int64_t> SkippedSteps(const SamplingOptions& options);

// Where step i of the visited timesteps leads: to the next of them; below 0, the clean image, after
// the last. As diffusers: T / n below, whatever the spacing, which is where the network is asked
// next only if n divides T and the spacing is "leading".
int64_t NextTimestep(const ModelSchedule& model, const SamplingOptions& options,
                     const std::vector<int64_t>& visited, size_t i);

// For solvers that count the end as a step of the spacing: "leading" and "linspace" space n + 1 of
// the first `usable` timesteps and drop the smallest, so with n < usable they never visit 0. As
// diffusers they are not always distinct.
absl::StatusOr<std::vector<int64_t>> SolverTimesteps(const ModelSchedule& model,
                                                     const SamplingOptions& options,
                                                     int64_t usable);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_TIMESTEPS_H_
