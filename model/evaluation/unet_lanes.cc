#include "model/evaluation/unet_lanes.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_denoiser.h"

namespace diffusiond {

absl::StatusOr<std::unique_ptr<PlanRunner>> RunnerOnAllCores(const Checkpoint& checkpoint,
                                                             int micro_batch) {
  absl::StatusOr<std::shared_ptr<UNet>> network = LoadUNet(checkpoint);
  if (!network.ok()) return network.status();
  std::vector<std::unique_ptr<Denoiser>> lanes;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    UNetDenoiser::Options options;
    options.rows = micro_batch;
    lanes.push_back(std::make_unique<UNetDenoiser>(*network, options));
  }
  return PlanRunner::Create(std::move(lanes));
}

}  // namespace diffusiond
