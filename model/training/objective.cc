#include "model/training/objective.h"

#include <utility>

#include "model/training/denoising_objective.h"
#include "model/training/edm_objective.h"
#include "model/training/schedule_objective.h"

namespace diffusiond {
namespace {

template <typename T>
torch::Tensor FromHost(const std::vector<T>& values, at::IntArrayRef sizes, torch::Dtype dtype,
                       torch::Device device) {
  return torch::from_blob(const_cast<T*>(values.data()), sizes, torch::TensorOptions().dtype(dtype))
      .to(device);
}

}  // namespace

DeviceBatch ToDevice(const TrainingBatch& batch, torch::Device device) {
  const int64_t count = batch.size();
  const std::vector<int64_t> sizes = {count, batch.channels, batch.height, batch.width};
  return {FromHost(batch.images, sizes, torch::kFloat32, device),
          FromHost(batch.noise, sizes, torch::kFloat32, device),
          FromHost(batch.levels, {count}, torch::kFloat64, device),
          FromHost(batch.timesteps, {count}, torch::kInt64, device),
          FromHost(batch.labels, {count}, torch::kInt64, device)};
}

torch::Tensor Objective::LossPerImage(const UNet& network, const TrainingBatch& batch,
                                      torch::Device device) const {
  return LossPerImage(
      [&network](const torch::Tensor& x, const torch::Tensor& t, const torch::Tensor& labels) {
        return network.Forward(x, t, labels);
      },
      ToDevice(batch, device));
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
  if (absl::Status status = Validate(options, scheduler); !status.ok()) return status;
  if (scheduler.is_edm()) return MakeEdmObjective(scheduler, options);
  if (options.learn_schedule) return MakeScheduleObjective(scheduler, device);
  return MakeDenoisingObjective(scheduler, options, device);
}

}  // namespace diffusiond
