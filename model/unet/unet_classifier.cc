#include "model/unet/unet_classifier.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/unet/host_call.h"

namespace diffusiond {

torch::Tensor ClassLogProbabilities(const torch::Tensor& output) {
  return torch::log_softmax(output.mean({2, 3}), 1);
}

UNetClassifier::UNetClassifier(std::shared_ptr<const UNet> network, const Options& options)
    : network_(std::move(network)), options_(options) {}

ImageShape UNetClassifier::shape() const {
  const UNetConfig& config = network_->config();
  return {static_cast<int>(config.in_channels), static_cast<int>(config.sample_height),
          static_cast<int>(config.sample_width)};
}

absl::Status UNetClassifier::Gradient(std::span<const float> x, std::span<const float> timesteps,
                                      std::span<const int64_t> labels, std::span<float> gradient) {
  const int64_t classes = network_->config().out_channels;
  for (const int64_t label : labels) {
    if (label < 0 || label >= classes) {
      return absl::InvalidArgumentError(
          absl::StrCat("class ", label, " is not in 0 .. ", classes - 1, " of the classifier"));
    }
  }
  return CallNetwork(options_.intra_op_threads, [&] {
    const ImageShape shape = this->shape();
    const int64_t rows = options_.micro_batch;
    const torch::Tensor in = HostView(x, {rows, shape.channels, shape.height, shape.width})
                                 .to(options_.device, torch::kFloat32, /*non_blocking=*/false,
                                     /*copy=*/true)
                                 .set_requires_grad(true);
    const torch::Tensor log_p =
        ClassLogProbabilities(
            network_->Forward(in, HostView(timesteps, {rows}).to(options_.device)))
            .gather(1, HostView(labels, {rows, 1}).to(options_.device));
    return CopyToHost(torch::autograd::grad({log_p.sum()}, {in})[0], gradient);
  });
}

}  // namespace diffusiond
