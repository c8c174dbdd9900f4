#include "model/evaluation/unet_vjp.h"

#include <utility>
#include <vector>

#include "model/status/status_macros.h"
#include "model/unet/host_call.h"

namespace diffusiond {

UNetVjp::UNetVjp(std::shared_ptr<const UNet> network, int rows, torch::Device device)
    : network_(std::move(network)), rows_(rows), device_(device) {}

ImageShape UNetVjp::shape() const {
  const UNetConfig& config = network_->config();
  return {static_cast<int>(config.in_channels), static_cast<int>(config.sample_height),
          static_cast<int>(config.sample_width)};
}

absl::Status UNetVjp::Evaluate(std::span<const float> x, std::span<const float> timesteps,
                               std::span<const int64_t> labels, std::span<const float> probe,
                               std::span<float> f, std::span<float> vjp) {
  return CallNetwork(/*intra_op_threads=*/1, [&]() -> absl::Status {
    const ImageShape shape = this->shape();
    const std::vector<int64_t> sizes = {rows_, shape.channels, shape.height, shape.width};
    const torch::Tensor in =
        HostView(x, sizes).to(device_, /*non_blocking=*/false, /*copy=*/true).requires_grad_(true);
    // The flow needs F alone, not the variance that a network may give besides.
    const torch::Tensor out = network_
                                  ->Forward(in, HostView(timesteps, {rows_}).to(device_),
                                            HostView(labels, {rows_}).to(device_))
                                  .narrow(1, 0, shape.channels)
                                  .contiguous();
    RETURN_IF_ERROR(CopyToHost(out, f));
    return CopyToHost(torch::autograd::grad({out}, {in}, {HostView(probe, sizes).to(device_)})[0],
                      vjp);
  });
}

}  // namespace diffusiond
