// The bound as numbers, a table and a picture.
#ifndef DIFFUSIOND_MODEL_EVALUATION_BOUND_REPORT_H_
#define DIFFUSIOND_MODEL_EVALUATION_BOUND_REPORT_H_

#include <cstdint>
#include <string>

#include "model/evaluation/bound_sums.h"

namespace diffusiond {

// Means over images, with their standard errors, which hold the subsampling of timesteps too.
struct BoundSummary {
  int64_t images = 0;
  MeanAndError prior;    // L_T.
  MeanAndError middle;   // L_1 + ... + L_{T-1}.
  MeanAndError decoder;  // L_0.
  MeanAndError total;
};
BoundSummary SummariseBound(const BoundSums& sums);

// A line for each term, L_0 first and L_T last:
//   term,timestep,images,bits_per_dim,standard_error,x0_mse
// Terms that were evaluated on no image have empty fields; so have standard errors of one.
std::string BoundCsv(const BoundSums& sums);

// SVG: left, L_t over t (on average over neighbouring t), bits on a logarithmic scale; right, what
// the bound adds up to from T down to t.
std::string BoundPlot(const BoundSums& sums, const std::string& label);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_BOUND_REPORT_H_
