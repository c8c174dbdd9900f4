// Between a checkpoint on disk and a network in memory.
#ifndef DIFFUSIOND_MODEL_UNET_UNET_CHECKPOINT_H_
#define DIFFUSIOND_MODEL_UNET_UNET_CHECKPOINT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/tensor_view.h"
#include "model/unet/unet.h"

namespace diffusiond {

// A network in float32 on the CPU, in evaluation mode, with the checkpoint's weights (F16 and BF16
// are widened). Every tensor's name, shape and finiteness is checked before memory is taken.
// INVALID_ARGUMENT names what is missing, surplus, of another shape or not finite.
absl::StatusOr<std::shared_ptr<UNet>> LoadUNet(const Checkpoint& checkpoint);

// Its noise-conditional classifier in the same way; null if it has none.
absl::StatusOr<std::shared_ptr<UNet>> LoadClassifier(const Checkpoint& checkpoint);

// Views of the network's parameters, for SaveCheckpoint. Parameters must be contiguous float32 on
// the CPU, and outlive the views.
TensorMap ViewParameters(const UNet& network);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_UNET_CHECKPOINT_H_
