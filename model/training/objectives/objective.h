// What the network is trained to do: one interface, one file an objective.
#ifndef DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_OBJECTIVE_H_
#define DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_OBJECTIVE_H_

#include <torch/torch.h>

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/training/batches/batch_source.h"
#include "model/training/options/objective_options.h"
#include "model/unet/unet.h"

namespace diffusiond {

// A TrainingBatch where the network is.
struct DeviceBatch {
  torch::Tensor x0, eps;    // [B, C, H, W].
  torch::Tensor levels;     // [B] float64.
  torch::Tensor timesteps;  // [B] int64.
  torch::Tensor labels;     // [B] int64.
};
DeviceBatch ToDevice(const TrainingBatch& batch, torch::Device device);
// Copies into the tensors of `to`, which are of that batch's shapes.
void CopyToDevice(const TrainingBatch& batch, DeviceBatch* to);

// x [B, C, H, W], timesteps [B], labels [B] -> [B, output channels, H, W].
using NetworkFunction = std::function<torch::Tensor(
    const torch::Tensor& x, const torch::Tensor& timesteps, const torch::Tensor& labels)>;

// Immutable but for module()'s parameters.
class Objective {
 public:
  virtual ~Objective() = default;

  // [B], differentiable; without the batch's weights, which make importance sampling unbiased.
  virtual torch::Tensor LossPerImage(const NetworkFunction& network,
                                     const DeviceBatch& batch) const = 0;

  // What is trained along with the network, on the device; null: nothing.
  virtual std::shared_ptr<torch::nn::Module> module() const { return nullptr; }

  // Puts what module() has learned into the configuration that is written beside the network.
  // INVALID_ARGUMENT: it is not one that can be served.
  virtual absl::Status Export(SchedulerConfig* /*config*/) const { return absl::OkStatus(); }

  // Of a U-Net, which is where the batch is.
  torch::Tensor LossPerImage(const UNet& network, const DeviceBatch& batch) const;
};

// The network's parameters, then those of objective.module(), as one module: what is trained.
std::shared_ptr<torch::nn::Module> TrainedModule(std::shared_ptr<UNet> network,
                                                 const Objective& objective);

// The one that `options` and the model say. INVALID_ARGUMENT as Validate, or as LossWeights.
absl::StatusOr<std::unique_ptr<const Objective>> MakeObjective(const SchedulerConfig& scheduler,
                                                               const ObjectiveOptions& options,
                                                               torch::Device device);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OBJECTIVES_OBJECTIVE_H_
