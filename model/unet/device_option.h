// The --device of the programs that run networks.
#ifndef DIFFUSIOND_MODEL_UNET_DEVICE_OPTION_H_
#define DIFFUSIOND_MODEL_UNET_DEVICE_OPTION_H_

#include <torch/torch.h>

#include <string>

#include "absl/status/statusor.h"

namespace diffusiond {

// "cpu", "cuda" (without an index) or "cuda:N". INVALID_ARGUMENT: another text, or a GPU that is
// not there.
absl::StatusOr<torch::Device> ParseDevice(const std::string& text);

// For the whole process: convolutions of float32 on GPUs in float32, where LibTorch takes TF32 (10
// bits of mantissa) unless told. Programs do so before they run a network.
void UseFullFloat32();

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_DEVICE_OPTION_H_
