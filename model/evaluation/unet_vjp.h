// A U-Net as a NetworkVjp, by LibTorch's automatic differentiation.
#ifndef DIFFUSIOND_MODEL_EVALUATION_UNET_VJP_H_
#define DIFFUSIOND_MODEL_EVALUATION_UNET_VJP_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/evaluation/network_vjp.h"

namespace diffusiond {

// One single-threaded lane a core, all on one copy of the weights. Errors as LoadUNet.
absl::StatusOr<std::vector<std::unique_ptr<NetworkVjp>>> VjpLanesOnAllCores(
    const Checkpoint& checkpoint, int rows);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_UNET_VJP_H_
