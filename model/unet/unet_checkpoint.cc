#include "model/unet/unet_checkpoint.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

torch::Dtype TorchDtype(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF64:
      return torch::kFloat64;
    case Dtype::kF16:
      return torch::kFloat16;
    case Dtype::kBF16:
      return torch::kBFloat16;
    default:
      return torch::kFloat32;
  }
}

absl::StatusOr<std::shared_ptr<UNet>> LoadNetwork(const UNetConfig& config,
                                                  const NetworkWeights& weights) {
  try {
    RETURN_IF_ERROR(weights.Check(ParameterShapes(config)));
    auto network = std::make_shared<UNet>(config);
    torch::NoGradGuard no_grad;
    for (auto& parameter : network->named_parameters()) {
      const TensorView& view = weights.tensors.at(parameter.key());
      // from_blob wants a mutable pointer; the tensor is only read from.
      parameter.value().copy_(
          torch::from_blob(const_cast<std::byte*>(view.data.data()), parameter.value().sizes(),
                           torch::TensorOptions().dtype(TorchDtype(view.dtype))));
      weights.file.Forget(view.data);
      parameter.value().set_requires_grad(false);
    }
    network->eval();
    return network;
  } catch (const std::exception& error) {
    return absl::InternalError(
        absl::StrCat("LibTorch failed to build the network: ", error.what()));
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<UNet>> LoadUNet(const Checkpoint& checkpoint) {
  return LoadNetwork(checkpoint.config().unet, checkpoint.weights());
}

absl::StatusOr<std::shared_ptr<UNet>> LoadClassifier(const Checkpoint& checkpoint) {
  if (!checkpoint.config().classifier) return std::shared_ptr<UNet>();
  return LoadNetwork(*checkpoint.config().classifier, *checkpoint.classifier_weights());
}

TensorMap ViewParameters(const UNet& network) {
  TensorMap views;
  for (const auto& parameter : network.named_parameters()) {
    const torch::Tensor& value = parameter.value();
    views[parameter.key()] = TensorView{
        .dtype = Dtype::kF32,
        .shape = value.sizes().vec(),
        .data =
            std::as_bytes(std::span(value.data_ptr<float>(), static_cast<size_t>(value.numel())))};
  }
  return views;
}

}  // namespace diffusiond
