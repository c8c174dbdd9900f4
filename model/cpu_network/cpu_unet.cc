#include "model/cpu_network/cpu_unet.h"

#include "model/cpu_network/unet_builder.h"
#include "model/status/status_macros.h"

namespace diffusiond {

ParameterList CpuUNetParameters(const UNetConfig& config) {
  UNetBuilder builder(config);
  builder.Build();
  return builder.parameters();
}

CpuUNetSize CpuUNetSizeOf(const UNetConfig& config) {
  UNetBuilder builder(config);
  builder.Build();
  return builder.size();
}

absl::StatusOr<std::unique_ptr<CpuUNet>> CpuUNet::Create(const UNetConfig& config,
                                                         const TensorMap& tensors) {
  UNetBuilder listed(config);
  listed.Build();
  RETURN_IF_ERROR(CheckTensors(listed.parameters(), tensors));
  UNetBuilder builder(listed, &tensors);
  builder.Build();
  std::unique_ptr<CpuUNet> network(new CpuUNet());
  network->config_ = config;
  network->weights_ = builder.TakeWeights();
  network->layers_ = builder.TakeLayers();
  network->size_ = builder.size();
  return network;
}

}  // namespace diffusiond
