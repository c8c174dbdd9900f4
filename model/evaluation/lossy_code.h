// The model as a progressive lossy code (Ho et al. 2020, section 4.3, algorithms 3 and 4): who has
// received x_t knows the image as x0-hat(x_t).
#ifndef DIFFUSIOND_MODEL_EVALUATION_LOSSY_CODE_H_
#define DIFFUSIOND_MODEL_EVALUATION_LOSSY_CODE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "model/evaluation/bound_sums.h"

namespace diffusiond {

struct RatePoint {
  int64_t t = 0;          // -1: x_0 itself.
  double rate = 0;        // Bits per dimension sent until x_t is known: L_T + ... + L_{t+1}.
  double distortion = 0;  // Root mean squared error of x0-hat(x_t), in grey levels of 0 .. 255.
};

// From t = T - 1 down to 0, then x_0 itself. Every term must have been evaluated on every image.
std::vector<RatePoint> RateDistortion(const BoundSums& sums);

// timestep,rate_bits_per_dim,distortion_rmse
std::string RateDistortionCsv(const std::vector<RatePoint>& points);

// SVG, as figure 5 has it: distortion over t, rate over t, distortion over rate.
std::string RateDistortionPlot(const std::vector<RatePoint>& points, const std::string& label);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_LOSSY_CODE_H_
