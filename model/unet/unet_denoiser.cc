#include "model/unet/unet_denoiser.h"

#include <utility>

#include "model/unet/host_call.h"

namespace diffusiond {

UNetDenoiser::UNetDenoiser(std::shared_ptr<const UNet> network, const Options& options)
    : network_(std::move(network)), options_(options) {}

ImageShape UNetDenoiser::shape() const {
  const UNetConfig& config = network_->config();
  return {static_cast<int>(config.in_channels), static_cast<int>(config.sample_height),
          static_cast<int>(config.sample_width)};
}

int UNetDenoiser::output_channels() const {
  return static_cast<int>(network_->config().out_channels);
}

absl::Status UNetDenoiser::Predict(std::span<const float> x, std::span<const float> timesteps,
                                   std::span<const int64_t> labels, std::span<float> f) {
  return CallNetwork(options_.intra_op_threads, [&] {
    torch::InferenceMode inference;
    const ImageShape shape = this->shape();
    const int64_t rows = options_.micro_batch;
    return CopyToHost(
        network_->Forward(
            HostView(x, {rows, shape.channels, shape.height, shape.width}).to(options_.device),
            HostView(timesteps, {rows}).to(options_.device),
            HostView(labels, {rows}).to(options_.device)),
        f);
  });
}

}  // namespace diffusiond
