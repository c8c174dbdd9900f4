#include "model/training/batches/timestep_sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace diffusiond {

std::vector<float> EmptyLossHistory(int64_t num_train_timesteps) {
  return std::vector<float>(static_cast<size_t>(num_train_timesteps) * kLossHistory,
                            std::numeric_limits<float>::quiet_NaN());
}

void RecordLosses(std::span<const int64_t> timesteps, std::span<const float> losses,
                  std::span<float> history) {
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const auto row =
        history.subspan(static_cast<size_t>(timesteps[i]) * kLossHistory, kLossHistory);
    std::shift_left(row.begin(), row.end(), 1);
    row.back() = losses[i];
  }
}

std::vector<double> ImportanceProbabilities(std::span<const float> history) {
  constexpr double kUniformShare = 1e-3;
  const size_t count = history.size() / kLossHistory;
  const double uniform = 1 / static_cast<double>(count);
  std::vector<double> roots;
  for (size_t t = 0; t < count; ++t) {
    double squares = 0;
    for (const float loss : history.subspan(t * kLossHistory, kLossHistory)) {
      squares += static_cast<double>(loss) * loss;
    }
    roots.push_back(std::sqrt(squares));
  }
  const double sum = std::accumulate(roots.begin(), roots.end(), 0.0);
  if (!(sum > 0)) return std::vector<double>(count, uniform);  // Also where one is NaN: not full.
  for (double& p : roots) p = (1 - kUniformShare) * p / sum + kUniformShare * uniform;
  return roots;
}

WeightedTimesteps DrawByImportance(std::span<const double> probabilities,
                                   std::span<const double> levels) {
  std::vector<double> upto(probabilities.size());
  std::partial_sum(probabilities.begin(), probabilities.end(), upto.begin());
  WeightedTimesteps drawn;
  for (const double level : levels) {
    const auto above = std::upper_bound(upto.begin(), upto.end() - 1, level * upto.back());
    const int64_t t = above - upto.begin();
    drawn.timesteps.push_back(t);
    drawn.weights.push_back(static_cast<float>(
        1 / (static_cast<double>(probabilities.size()) * probabilities[static_cast<size_t>(t)])));
  }
  return drawn;
}

}  // namespace diffusiond
