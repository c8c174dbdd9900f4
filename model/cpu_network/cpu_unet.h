// UNet2DModel for drawing on processors, without LibTorch.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_CPU_UNET_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_CPU_UNET_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint/check_tensors.h"
#include "model/checkpoint/tensor_view.h"
#include "model/config/unet_config.h"
#include "model/cpu_network/float_array.h"
#include "model/cpu_network/layer.h"

namespace diffusiond {

class UNetBuilder;

// The version of the numerics: what a given network, input and timestep give, to the last bit, on
// every machine. Raised by whatever changes a byte.
inline constexpr int kNetworkNumerics = 2;

// Name and shape of every parameter of such a network.
ParameterList CpuUNetParameters(const UNetConfig& config);

// In floats: of the packed weights, of each image's activations, and of what each thread works in.
struct CpuUNetSize {
  size_t weights = 0;
  size_t arena = 0;
  size_t scratch = 0;
};

// Told from the configuration alone: weights and scratch as they are taken, activations about, as
// they will be laid out a little differently.
CpuUNetSize CpuUNetSizeOf(const UNetConfig& config);

// A network with its weights, packed. Immutable: any number of threads may run it at once.
class CpuUNet {
 public:
  // `tensors` are copied; `copied` is told of each when that is done. INVALID_ARGUMENT: as
  // CheckTensors.
  static absl::StatusOr<std::unique_ptr<CpuUNet>> Create(
      const UNetConfig& config, const TensorMap& tensors,
      const std::function<void(const TensorView&)>& copied = nullptr);

  const UNetConfig& config() const { return config_; }
  const std::vector<std::unique_ptr<Layer>>& layers() const { return layers_; }

  const CpuUNetSize& size() const { return size_; }

 private:
  CpuUNet(const UNetConfig& config, UNetBuilder* built);

  UNetConfig config_;
  FloatArray weights_;
  std::vector<std::unique_ptr<Layer>> layers_;
  CpuUNetSize size_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_CPU_UNET_H_
