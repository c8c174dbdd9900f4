// Noise levels as angles, in continuous time: with alpha_bar = cos^2 phi,
//   x = cos(phi) x_0 + sin(phi) eps,  dx/dphi = cos(phi) eps - sin(phi) x_0 = v
// (Salimans and Ho 2022, appendix D): the probability-flow ODE (Song et al. 2021, equation 13) of a
// variance-preserving process, whatever its schedule.
#ifndef DIFFUSIOND_MODEL_DIFFUSION_NOISE_ANGLE_H_
#define DIFFUSIOND_MODEL_DIFFUSION_NOISE_ANGLE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "model/diffusion/noise_schedule.h"

namespace diffusiond {

// phi of the timesteps, and timesteps of what lies between. Immutable.
class NoiseAngles {
 public:
  // INVALID_ARGUMENT if alpha_bar does not fall from each timestep to the next, or there are fewer
  // than two.
  static absl::StatusOr<NoiseAngles> Create(const NoiseSchedule& schedule);

  double least() const { return angles_.front(); }  // Of timestep 0, above 0.
  double most() const { return angles_.back(); }    // Of timestep T - 1, at most pi / 2.

  // The fractional timestep at `phi`, linear between neighbours; phi is brought into least .. most.
  double TimestepAt(double phi) const;

  // `steps` + 1 angles from least to most, even in log tan(phi / 2): like log sigma where there is
  // little noise, and like phi where there is much.
  std::vector<double> Grid(int64_t steps) const;

 private:
  explicit NoiseAngles(std::vector<double> angles) : angles_(std::move(angles)) {}

  std::vector<double> angles_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_DIFFUSION_NOISE_ANGLE_H_
