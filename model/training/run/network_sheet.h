// Sample sheets of a network in training.
#ifndef DIFFUSIOND_MODEL_TRAINING_RUN_NETWORK_SHEET_H_
#define DIFFUSIOND_MODEL_TRAINING_RUN_NETWORK_SHEET_H_

#include <torch/torch.h>

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"
#include "model/training/options/trainer_options.h"
#include "model/unet/unet.h"

namespace diffusiond {

// Draws a denoiser's own images, or, of a classifier, those that it guides the model to which it is
// trained for. Always with the options' seed: sheets of two steps compare. Thread-compatible.
class NetworkSheet {
 public:
  // `options` must outlive this.
  static absl::StatusOr<std::unique_ptr<NetworkSheet>> Create(const TrainerOptions& options,
                                                              torch::Device device);

  // `model` describes `network`, which is in evaluation mode.
  absl::StatusOr<Image> Draw(const CheckpointConfig& model,
                             const std::shared_ptr<const UNet>& network) const;

 private:
  NetworkSheet(const TrainerOptions& options, torch::Device device, std::shared_ptr<UNet> base)
      : options_(options), device_(device), base_(std::move(base)) {}

  const TrainerOptions& options_;
  const torch::Device device_;
  const std::shared_ptr<UNet> base_;  // Of options_.base; null: the network is a denoiser.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_RUN_NETWORK_SHEET_H_
