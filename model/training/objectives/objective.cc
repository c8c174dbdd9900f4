#include "model/training/objectives/objective.h"

#include <utility>
#include <vector>

#include "model/status/status_macros.h"
#include "model/training/objectives/denoising_objective.h"
#include "model/training/objectives/edm_objective.h"
#include "model/training/objectives/schedule_objective.h"

namespace diffusiond {
namespace {

// Views of the host's batch.
DeviceBatch HostViews(const TrainingBatch& batch) {
  const auto view = [](const auto& values, at::IntArrayRef sizes, torch::Dtype dtype) {
    return torch::from_blob(const_cast<void*>(static_cast<const void*>(values.data())), sizes,
                            torch::TensorOptions().dtype(dtype));
  };
  const int64_t count = batch.size();
  const std::vector<int64_t> sizes = {count, batch.channels, batch.height, batch.width};
  return {view(batch.images, sizes, torch::kFloat32), view(batch.noise, sizes, torch::kFloat32),
          view(batch.levels, {count}, torch::kFloat64),
          view(batch.timesteps, {count}, torch::kInt64),
          view(batch.labels, {count}, torch::kInt64)};
}

}  // namespace

DeviceBatch ToDevice(const TrainingBatch& batch, torch::Device device) {
  const DeviceBatch host = HostViews(batch);
  return {host.x0.to(device), host.eps.to(device), host.levels.to(device),
          host.timesteps.to(device), host.labels.to(device)};
}

void CopyToDevice(const TrainingBatch& batch, DeviceBatch* to) {
  const DeviceBatch host = HostViews(batch);
  to->x0.copy_(host.x0);
  to->eps.copy_(host.eps);
  to->levels.copy_(host.levels);
  to->timesteps.copy_(host.timesteps);
  to->labels.copy_(host.labels);
}

torch::Tensor Objective::LossPerImage(const UNet& network, const DeviceBatch& batch) const {
  return LossPerImage(
      [&network](const torch::Tensor& x, const torch::Tensor& t, const torch::Tensor& labels) {
        return network.Forward(x, t, labels);
      },
      batch);
}

std::shared_ptr<torch::nn::Module> TrainedModule(std::shared_ptr<UNet> network,
                                                 const Objective& objective) {
  auto all = std::make_shared<torch::nn::Module>();
  all->register_module("network", std::move(network));
  if (auto module = objective.module(); module != nullptr) {
    all->register_module("objective", std::move(module));
  }
  return all;
}

absl::StatusOr<std::unique_ptr<const Objective>> MakeObjective(const SchedulerConfig& scheduler,
                                                               const ObjectiveOptions& options,
                                                               torch::Device device) {
  RETURN_IF_ERROR(Validate(options, scheduler));
  if (scheduler.is_edm()) return MakeEdmObjective(scheduler, options);
  if (options.learn_schedule) return MakeScheduleObjective(scheduler, device);
  return MakeDenoisingObjective(scheduler, options, device);
}

}  // namespace diffusiond
