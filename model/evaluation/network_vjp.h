// A network whose output can be differentiated by its input.
#ifndef DIFFUSIOND_MODEL_EVALUATION_NETWORK_VJP_H_
#define DIFFUSIOND_MODEL_EVALUATION_NETWORK_VJP_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "model/sampling/denoiser.h"

namespace diffusiond {

// As Denoiser, for a fixed number of inputs, with the product of a vector and the Jacobian.
// Thread-compatible.
class NetworkVjp {
 public:
  virtual ~NetworkVjp() = default;

  virtual ImageShape shape() const = 0;
  virtual int micro_batch() const = 0;

  // x, probe, f and vjp: [micro_batch, C, H, W]. timesteps, labels: [micro_batch]. f is F(x,
  // timestep, label); row r of vjp is probe_r^T dF_r/dx_r. INTERNAL if the device failed.
  virtual absl::Status Evaluate(std::span<const float> x, std::span<const float> timesteps,
                                std::span<const int64_t> labels, std::span<const float> probe,
                                std::span<float> f, std::span<float> vjp) = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_NETWORK_VJP_H_
