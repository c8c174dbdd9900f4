#include "model/evaluation/unet_vjp.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "model/unet/host_call.h"
#include "model/unet/unet_checkpoint.h"

namespace diffusiond {
namespace {

class UNetVjp : public NetworkVjp {
 public:
  UNetVjp(std::shared_ptr<const UNet> network, int rows)
      : network_(std::move(network)), rows_(rows) {}

  ImageShape shape() const override {
    const UNetConfig& config = network_->config();
    return {static_cast<int>(config.in_channels), static_cast<int>(config.sample_height),
            static_cast<int>(config.sample_width)};
  }
  int rows() const override { return rows_; }

  absl::Status Evaluate(std::span<const float> x, std::span<const float> timesteps,
                        std::span<const int64_t> labels, std::span<const float> probe,
                        std::span<float> f, std::span<float> vjp) override {
    return CallNetwork(/*intra_op_threads=*/1, [&]() -> absl::Status {
      const ImageShape shape = this->shape();
      const std::vector<int64_t> sizes = {rows_, shape.channels, shape.height, shape.width};
      const torch::Tensor in = HostView(x, sizes).clone().set_requires_grad(true);
      // The flow needs F alone, not the variance that a network may give besides.
      const torch::Tensor out =
          network_->Forward(in, HostView(timesteps, {rows_}), HostView(labels, {rows_}))
              .narrow(1, 0, shape.channels)
              .contiguous();
      if (absl::Status status = CopyToHost(out, f); !status.ok()) return status;
      return CopyToHost(torch::autograd::grad({out}, {in}, {HostView(probe, sizes)})[0], vjp);
    });
  }

 private:
  const std::shared_ptr<const UNet> network_;
  const int rows_;
};

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<NetworkVjp>>> VjpLanesOnAllCores(
    const Checkpoint& checkpoint, int rows) {
  absl::StatusOr<std::shared_ptr<UNet>> network = LoadUNet(checkpoint);
  if (!network.ok()) return network.status();
  // Only the input's gradient is asked for.
  for (torch::Tensor& parameter : (*network)->parameters()) parameter.set_requires_grad(false);
  std::vector<std::unique_ptr<NetworkVjp>> lanes;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    lanes.push_back(std::make_unique<UNetVjp>(*network, rows));
  }
  return lanes;
}

}  // namespace diffusiond
