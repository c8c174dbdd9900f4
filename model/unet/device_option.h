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

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_DEVICE_OPTION_H_
