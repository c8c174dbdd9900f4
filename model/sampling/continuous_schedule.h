// The noise schedule between its training timesteps, as the SDE dx = -beta(t) x / 2 dt +
// sqrt(beta(t)) dw (Song et al. 2021, equation 11), which has
// alpha_bar(t) = exp(-integral of beta up to t).
#ifndef DIFFUSIOND_MODEL_SAMPLING_CONTINUOUS_SCHEDULE_H_
#define DIFFUSIOND_MODEL_SAMPLING_CONTINUOUS_SCHEDULE_H_

#include <vector>

#include "model/diffusion/noise_schedule.h"

namespace diffusiond {

// t counts training timesteps, so beta(t) is near the table's. alpha_bar is that of the table at
// whole t but for rounding, and 1 at -1, the clean image. Between them -log(alpha_bar) is a
// monotone cubic (Fritsch and Carlson 1980), and beta is its exact derivative: formulas that mix
// the two stay consistent, and a solver keeps its order. Immutable.
class ContinuousSchedule {
 public:
  explicit ContinuousSchedule(const NoiseSchedule& schedule);

  // -1 <= t <= num_train_timesteps - 1. Not finite where the table has an alpha_bar of 0.
  double alpha_bar(double t) const;
  double beta(double t) const;

 private:
  struct Piece;
  Piece PieceAt(double t) const;

  std::vector<double> knots_;   // -log(alpha_bar) at t = -1, 0, 1, ...
  std::vector<double> slopes_;  // Its derivative there.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_CONTINUOUS_SCHEDULE_H_
