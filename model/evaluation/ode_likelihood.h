// The likelihood of images by the probability-flow ODE (Song et al. 2021, section 4.3 and D.2).
#ifndef DIFFUSIOND_MODEL_EVALUATION_ODE_LIKELIHOOD_H_
#define DIFFUSIOND_MODEL_EVALUATION_ODE_LIKELIHOOD_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/diffusion/noise_angle.h"
#include "model/evaluation/network_vjp.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

enum class OdeMethod {
  kHeun,  // Order 2, two evaluations a step.
  kRk4,   // Order 4, four.
};

// "heun" or "rk4".
absl::StatusOr<OdeMethod> ParseOdeMethod(const std::string& name);

struct OdeOptions {
  OdeMethod method = OdeMethod::kRk4;
  int64_t steps = 16;  // At least 1; even in NoiseAngles::Grid.
  PredictionType prediction_type = PredictionType::kEpsilon;
  bool tells_log_sigma = false;  // As SchedulerConfig's.
  uint64_t seed = 0;
};

// Bits per dimension of images `indices` of `data`, as many as the network has rows; `labels` one
// an index.
//
// A byte b becomes (b + u - 1/2) / 127.5 - 1 with u uniform in (0, 1), so that the density over u
// bounds the byte's probability from below; the result counts a byte's step as log2(127.5). That
// point is taken at the least noise level the model knows, and followed to the highest, where
// x ~ N(0, I):
//
//   log p(x_least) = log p(x_most) + integral of div v dphi
//
// div v = tr(dv/dx) is estimated by probe^T (dv/dx) probe, the probe of random signs and the same
// along the whole path (Hutchinson 1990; Grathwohl et al. 2019). The estimate is unbiased. D is not
// clipped: the path must be differentiable. u and the probe depend on (seed, index) alone.
absl::StatusOr<std::vector<double>> OdeBitsPerDim(
    const OdeOptions& options, const NoiseAngles& angles, const ImageDataset& data,
    std::span<const int64_t> indices, std::span<const int64_t> labels, NetworkVjp* network);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_ODE_LIKELIHOOD_H_
