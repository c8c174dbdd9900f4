#include "tests/benchmarks/measured_networks.h"

#include <optional>
#include <utility>

#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_denoiser.h"

namespace diffusiond {
namespace {

std::unique_ptr<Denoiser> OneThread(std::shared_ptr<const UNet> network, int rows) {
  UNetDenoiser::Options options;
  options.micro_batch = rows;
  return std::make_unique<UNetDenoiser>(std::move(network), options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Denoiser>> CheckpointDenoiser(const Checkpoint& checkpoint,
                                                             int rows) {
  absl::StatusOr<std::shared_ptr<UNet>> network = LoadUNet(checkpoint);
  if (!network.ok()) return network.status();
  return OneThread(*std::move(network), rows);
}

std::unique_ptr<Denoiser> UntrainedCifarDenoiser(int rows) {
  UNetConfig config;
  config.block_out_channels = {128, 256, 256, 256};
  config.down_block_types = {"DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"};
  config.up_block_types = {"UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"};
  config.attention_head_dim = std::nullopt;
  auto network = std::make_shared<UNet>(config);
  network->ResetParameters(/*seed=*/0);
  network->eval();
  return OneThread(std::move(network), rows);
}

}  // namespace diffusiond
