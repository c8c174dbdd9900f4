// Which terms of the bound are worth evaluating.
#ifndef DIFFUSIOND_MODEL_EVALUATION_TIMESTEP_STRATA_H_
#define DIFFUSIOND_MODEL_EVALUATION_TIMESTEP_STRATA_H_

#include <cstdint>
#include <vector>

#include "model/diffusion/variational_bound.h"

namespace diffusiond {

struct WeightedTimestep {
  int64_t t = 0;
  double weight = 1;
};

// Draws timesteps from 1 .. T - 1 so that the weighted sum of L_t over them is an unbiased estimate
// of L_1 + ... + L_{T-1}: the range is cut into strata of equal mass under p, one timestep comes
// from each, and its weight is 1 / (strata p(t)). Nine tenths of p are the terms of data with
// independent pixels N(., data_variance) under its exact denoiser,
//   L_t = (SNR_{t-1} - SNR_t) / 2 * mse_t  (Kingma et al. 2021, equation 14),
// which has the shape that images' terms have; one tenth is uniform, so that no weight is large.
// Immutable.
class TimestepStrata {
 public:
  // `count` strata; 0, or as many as there are timesteps: every timestep once, of weight 1.
  TimestepStrata(const VariationalBound& bound, double data_variance, int64_t count);

  // Ascending, none twice; the same for the same seed and image.
  std::vector<WeightedTimestep> Draw(uint64_t seed, int64_t image) const;

 private:
  int64_t count_;
  std::vector<double> mass_;        // [T], of t; 0 at t = 0.
  std::vector<double> cumulative_;  // [T], of 0 .. t; the last is 1.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_TIMESTEP_STRATA_H_
