// Which noise levels a batch is trained at.
//
//   uniform      independent, uniform over 0 .. T - 1 (Ho et al. 2020, algorithm 1)
//   stratified   row i of B at frac(u + i / B), one u a step: each row is uniform, and together
//   they
//                cover the range (Kingma et al. 2021, appendix I.1)
//   importance   t with probability p_t in proportion to sqrt(E[L_t^2]), its loss times 1 / (T p_t)
//                (Nichol and Dhariwal 2021, section 3.3): the same mean, the least variance
#ifndef DIFFUSIOND_MODEL_TRAINING_BATCHES_TIMESTEP_SAMPLING_H_
#define DIFFUSIOND_MODEL_TRAINING_BATCHES_TIMESTEP_SAMPLING_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/strings/string_view.h"
#include "model/config/choices.h"

namespace diffusiond {

enum class TimestepSampling { kUniform, kStratified, kImportance };

template <>
struct Words<TimestepSampling> {
  static constexpr absl::string_view kAll[] = {"uniform", "stratified", "importance"};
};

// The last losses of each timestep: [T, kLossHistory] in rows, oldest first, NaN where there is
// none yet. Part of the training state: with the seed and the step it says what is drawn.
inline constexpr size_t kLossHistory = 10;
std::vector<float> EmptyLossHistory(int64_t num_train_timesteps);

// Takes up the losses of a step, one a timestep drawn, in order.
void RecordLosses(std::span<const int64_t> timesteps, std::span<const float> losses,
                  std::span<float> history);

// [T], summing to 1: by the root of the mean square of each history, mixed with a thousandth of the
// uniform distribution, as the paper's code has it. Uniform until every history is full.
std::vector<double> ImportanceProbabilities(std::span<const float> history);

struct WeightedTimesteps {
  std::vector<int64_t> timesteps;
  std::vector<float> weights;  // 1 / (T p_t).
};

// At levels [B] in [0, 1), by the inverse of the distribution function.
WeightedTimesteps DrawByImportance(std::span<const double> probabilities,
                                   std::span<const double> levels);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_BATCHES_TIMESTEP_SAMPLING_H_
