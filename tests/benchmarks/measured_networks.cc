#include "tests/benchmarks/measured_networks.h"

#include <utility>

#include "model/checkpoint/diffusers_directory.h"
#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_denoiser.h"
#include "tests/benchmarks/benchmark_run.h"

namespace diffusiond {

absl::StatusOr<MeasuredNetwork> CheckpointNetwork(const std::string& directory) {
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  absl::StatusOr<std::shared_ptr<UNet>> libtorch = LoadUNet(*checkpoint);
  if (!libtorch.ok()) return libtorch.status();
  (*libtorch)->SetWinograd(false);
  auto ours = CpuUNet::Create(checkpoint->config().unet, checkpoint->tensors());
  if (!ours.ok()) return ours.status();
  return MeasuredNetwork{
      .name = directory, .ours = *std::move(ours), .libtorch = *std::move(libtorch)};
}

MeasuredNetwork UntrainedCifarNetwork() {
  UNetConfig config;
  config.block_out_channels = {128, 256, 256, 256};
  config.down_block_types = {"DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"};
  config.up_block_types = {"UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"};
  config.attention_head_dim = std::nullopt;
  auto libtorch = std::make_shared<UNet>(config);
  libtorch->ResetParameters(/*seed=*/0);
  libtorch->eval();
  libtorch->SetWinograd(false);
  auto ours = CpuUNet::Create(config, ViewParameters(*libtorch));
  if (!ours.ok()) FailBenchmark(ours.status().message());
  return {.name = "the DDPM paper's network for CIFAR-10, untrained",
          .ours = *std::move(ours),
          .libtorch = std::move(libtorch)};
}

std::unique_ptr<Denoiser> LibTorchDenoiser(const MeasuredNetwork& network, int rows, int threads) {
  return std::make_unique<UNetDenoiser>(
      network.libtorch, UNetDenoiser::Options{.micro_batch = rows, .intra_op_threads = threads});
}

}  // namespace diffusiond
