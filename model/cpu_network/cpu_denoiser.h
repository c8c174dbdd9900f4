// A CpuUNet behind the Denoiser interface.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_CPU_DENOISER_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_CPU_DENOISER_H_

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "model/cpu_network/network_runner.h"
#include "model/sampling/denoiser.h"

namespace diffusiond {

// Takes any number of rows. Thread-compatible; several may share one network.
class CpuDenoiser : public Denoiser {
 public:
  CpuDenoiser(std::shared_ptr<const CpuUNet> network, std::shared_ptr<LanePool> pool)
      : runner_(std::move(network), std::move(pool)) {}

  ImageShape shape() const override;
  int micro_batch() const override { return kAnyRows; }
  int capacity() const override { return static_cast<int>(runner_.capacity()); }
  int output_channels() const override;
  // INVALID_ARGUMENT: a label of no class, a timestep that is not finite.
  absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                       std::span<const int64_t> labels, std::span<float> f) override;

 private:
  NetworkRunner runner_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_CPU_DENOISER_H_
