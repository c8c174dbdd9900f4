// One evaluation of a large network, and the memory it takes: ours and LibTorch's direct
// convolutions, each in a process of its own that opens the checkpoint and draws from it. In turn;
// the least of some rounds each.
//
//   build/release/bin/large_network_benchmark [--quick]
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/cpu_network/cpu_denoiser.h"
#include "model/unet/servable.h"
#include "model/unet/unet.h"
#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_denoiser.h"
#include "tests/benchmarks/benchmark_run.h"

namespace diffusiond {
namespace {

// The DDPM paper's network for 256x256 (Ho et al. 2020, appendix B), 114 M parameters.
CheckpointConfig LargeConfig() {
  CheckpointConfig config;
  UNetConfig& unet = config.unet;
  unet.sample_height = unet.sample_width = FullOrQuick(256, 32);
  unet.block_out_channels = {128, 128, 256, 256, 512, 512};
  unet.down_block_types = {"DownBlock2D", "DownBlock2D",     "DownBlock2D",
                           "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"};
  unet.up_block_types = {"UpBlock2D", "AttnUpBlock2D", "UpBlock2D",
                         "UpBlock2D", "UpBlock2D",     "UpBlock2D"};
  unet.attention_head_dim = std::nullopt;
  unet.downsample_padding = 0;
  return config;
}

void Check(const absl::Status& status) {
  if (!status.ok()) FailBenchmark(status.message());
}

template <typename T>
T Checked(absl::StatusOr<T> value) {
  Check(value.status());
  return *std::move(value);
}

int Cores() { return static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); }

void WriteUntrained(const std::filesystem::path& directory) {
  const CheckpointConfig config = LargeConfig();
  UNet network(config.unet);
  network.ResetParameters(/*seed=*/0);
  Check(SaveCheckpoint(directory, config, ViewParameters(network)));
}

std::unique_ptr<Denoiser> Ours(const std::filesystem::path& directory) {
  const Checkpoint checkpoint = Checked(Checkpoint::Open(directory));
  return std::make_unique<CpuDenoiser>(Checked(LoadCpuNetworks(checkpoint)).cpu,
                                       std::make_shared<LanePool>(Cores()));
}

std::unique_ptr<Denoiser> LibTorchs(const std::filesystem::path& directory) {
  const Checkpoint checkpoint = Checked(Checkpoint::Open(directory));
  std::shared_ptr<UNet> network = Checked(LoadUNet(checkpoint));
  network->SetWinograd(false);
  return std::make_unique<UNetDenoiser>(
      std::move(network), UNetDenoiser::Options{.micro_batch = 1, .intra_op_threads = Cores()});
}

// The least seconds of a few evaluations of one row.
double SecondsOf(Denoiser& denoiser) {
  const auto pixels = static_cast<size_t>(denoiser.shape().elements());
  const std::vector<float> x(pixels, 0.5f), timesteps = {500};
  std::vector<float> f(pixels);
  const std::vector<int64_t> labels = {0};
  double least = 1e9;
  for (int call = 0; call < FullOrQuick(3, 1); ++call) {
    const absl::Time start = absl::Now();
    Check(denoiser.Predict(x, timesteps, labels, f));
    least = std::min(least, absl::ToDoubleSeconds(absl::Now() - start));
  }
  return least;
}

struct Measured {
  double seconds = 1e9;
  double peak_mib = 0;  // Of the process's resident memory.
};

// What `work` gives in a process of its own.
Measured InOwnProcess(const std::function<double()>& work) {
  int ends[2];
  if (pipe(ends) != 0) FailBenchmark("pipe");
  const pid_t child = fork();
  if (child < 0) FailBenchmark("fork");
  if (child == 0) {
    const double seconds = work();
    const bool told = write(ends[1], &seconds, sizeof(seconds)) == sizeof(seconds);
    _exit(told ? 0 : 1);
  }
  close(ends[1]);
  Measured measured;
  const bool told = read(ends[0], &measured.seconds, sizeof(double)) == sizeof(double);
  close(ends[0]);
  int status = 0;
  rusage usage = {};
  wait4(child, &status, 0, &usage);
  if (!told || status != 0) FailBenchmark("a process ended before it was done");
  measured.peak_mib = static_cast<double>(usage.ru_maxrss) / 1024;
  return measured;
}

void Run() {
  std::string name = (std::filesystem::temp_directory_path() / "large_network.XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) FailBenchmark("mkdtemp");
  const std::filesystem::path directory = std::filesystem::path(name) / "checkpoint";
  InOwnProcess([&] {
    WriteUntrained(directory);
    return 0.0;
  });
  Measured ours, libtorch;
  const auto measure = [&](Measured& least, auto denoiser_of) {
    const Measured it = InOwnProcess([&] { return SecondsOf(*denoiser_of(directory)); });
    least = {std::min(least.seconds, it.seconds), std::max(least.peak_mib, it.peak_mib)};
  };
  for (int round = 0; round < FullOrQuick(3, 1); ++round) {
    measure(ours, Ours);
    measure(libtorch, LibTorchs);
  }
  std::filesystem::remove_all(name);
  std::printf("256x256, one row, %d threads: ours %.2f s, LibTorch %.2f s, LibTorch / ours %.2f\n",
              Cores(), ours.seconds, libtorch.seconds, libtorch.seconds / ours.seconds);
  std::printf("peak memory: ours %.0f MiB, LibTorch %.0f MiB, ours / LibTorch %.2f\n",
              ours.peak_mib, libtorch.peak_mib, ours.peak_mib / libtorch.peak_mib);
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::ParseBenchmarkFlags(argc, argv);
  diffusiond::PrintProcessor();
  diffusiond::Run();
  return 0;
}
