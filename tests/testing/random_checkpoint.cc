#include "tests/testing/random_checkpoint.h"

#include "model/unet/unet.h"
#include "model/unet/unet_checkpoint.h"

namespace diffusiond {

absl::StatusOr<int64_t> WriteRandomCheckpoint(const std::filesystem::path& directory,
                                              const CheckpointConfig& config, uint64_t seed) {
  UNet network(config.unet);
  network.ResetParameters(seed);
  const TensorMap tensors = ViewParameters(network);
  absl::Status status = SaveCheckpoint(directory, config, tensors);
  if (!status.ok()) return status;
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += static_cast<int64_t>(tensor.data.size());
  return bytes;
}

}  // namespace diffusiond
