#include "model/evaluation/unet_lanes.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "model/evaluation/unet_vjp.h"
#include "model/status/status_macros.h"
#include "model/unet/servable.h"
#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_denoiser.h"

namespace diffusiond {
namespace {

absl::StatusOr<std::shared_ptr<UNet>> LoadOnto(const Checkpoint& checkpoint, torch::Device device) {
  absl::StatusOr<std::shared_ptr<UNet>> network = LoadUNet(checkpoint);
  if (network.ok()) (*network)->to(device);
  return network;
}

unsigned Lanes(torch::Device device) {
  return device.is_cpu() ? std::max(1u, std::thread::hardware_concurrency()) : 1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PlanRunner>> RunnerOf(const Checkpoint& checkpoint, int micro_batch,
                                                     torch::Device device) {
  if (device.is_cpu()) {
    ASSIGN_OR_RETURN(const Networks networks, LoadCpuNetworks(checkpoint));
    return MakeCpuRunner(networks, static_cast<int>(Lanes(device)));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<UNet> network, LoadOnto(checkpoint, device));
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::make_unique<UNetDenoiser>(
      network, UNetDenoiser::Options{.micro_batch = micro_batch, .device = device}));
  return PlanRunner::Create(std::move(lanes));
}

absl::StatusOr<std::vector<std::unique_ptr<NetworkVjp>>> VjpLanesOf(const Checkpoint& checkpoint,
                                                                    int rows,
                                                                    torch::Device device) {
  ASSIGN_OR_RETURN(std::shared_ptr<UNet> network, LoadOnto(checkpoint, device));
  // Only the input's gradient is asked for.
  for (torch::Tensor& parameter : network->parameters()) parameter.set_requires_grad(false);
  std::vector<std::unique_ptr<NetworkVjp>> lanes;
  for (unsigned i = 0; i < Lanes(device); ++i) {
    lanes.push_back(std::make_unique<UNetVjp>(network, rows, device));
  }
  return lanes;
}

}  // namespace diffusiond
