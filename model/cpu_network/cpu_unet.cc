#include "model/cpu_network/cpu_unet.h"

#include <string>

#include "absl/memory/memory.h"
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

CpuUNet::CpuUNet(const UNetConfig& config, UNetBuilder* built)
    : config_(config),
      weights_(built->TakeWeights()),
      layers_(built->TakeLayers()),
      size_(built->size()) {}

absl::StatusOr<std::unique_ptr<CpuUNet>> CpuUNet::Create(
    const UNetConfig& config, const TensorMap& tensors,
    const std::function<void(const TensorView&)>& copied) {
  UNetBuilder listed(config);
  listed.Build();
  RETURN_IF_ERROR(CheckTensors(listed.parameters(), tensors));
  UNetBuilder builder(listed, [&](const std::string& name) {
    const TensorView& tensor = tensors.at(name);
    std::vector<float> values = ToFloats(tensor);
    if (copied != nullptr) copied(tensor);
    return values;
  });
  builder.Build();
  return absl::WrapUnique(new CpuUNet(config, &builder));
}

}  // namespace diffusiond
