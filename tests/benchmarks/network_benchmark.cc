// One evaluation of a network on this processor: ours, and LibTorch's convolutions by the modules
// of diffusers. In turn, so that a machine that drifts does so for both; the least of many rounds
// each.
//
//   build/release/bin/network_benchmark [--quick] [CHECKPOINT]
//   build/release/bin/network_benchmark --threads=1 --rows=8 [CHECKPOINT]   # a number for
//   network/onnx_ratio.py
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/cpu_network/cpu_denoiser.h"
#include "model/cpu_network/kernels.h"
#include "tests/benchmarks/benchmark_run.h"
#include "tests/benchmarks/measured_networks.h"

ABSL_FLAG(
    int, threads, 0,
    "with --rows: prints our milliseconds a row, of CHECKPOINT or else for CIFAR-10, and ends");
ABSL_FLAG(int, rows, 1, "see --threads");
ABSL_FLAG(std::string, kernels, "", "avx2: as a processor without AVX-512 has them");

namespace diffusiond {
namespace {

double Seconds(const std::function<void()>& work) {
  const absl::Time start = absl::Now();
  work();
  return absl::ToDoubleSeconds(absl::Now() - start);
}

// Asks a network for so many rows.
class Caller {
 public:
  Caller(std::unique_ptr<Denoiser> denoiser, int rows)
      : denoiser_(std::move(denoiser)),
        x_(static_cast<size_t>(rows * denoiser_->shape().elements()), 0.5f),
        f_(static_cast<size_t>(rows * denoiser_->output_channels()) *
           static_cast<size_t>(denoiser_->shape().height * denoiser_->shape().width)),
        timesteps_(static_cast<size_t>(rows), 500),
        labels_(static_cast<size_t>(rows), 1) {}

  double Call() {
    absl::Status status;
    const double seconds =
        Seconds([&] { status = denoiser_->Predict(x_, timesteps_, labels_, f_); });
    if (!status.ok()) FailBenchmark(status.message());
    return seconds;
  }

 private:
  std::unique_ptr<Denoiser> denoiser_;
  std::vector<float> x_, f_, timesteps_;
  std::vector<int64_t> labels_;
};

// Operations a second of the one inner loop, on what lies in a core's own caches: what it can do.
double Peak() {
  constexpr size_t kPixels = 48, kIn = 512, kOut = 32;
  std::vector<float> in(kPixels * kIn, 0.5f), out(kPixels * kOut), weights(kIn * kOut, 0.5f),
      bias(kOut), zeros(kIn);
  std::vector<float> scratch(ConvolutionScratch(Tiling::kDirect, 1, kIn));
  Convolution c;
  c.rows = 1;
  c.in[0] = {in.data(), 0, 1, kPixels, kIn, kIn};
  c.kernel = 1;
  c.padding = 0;
  c.weights = weights.data();
  c.zeros = zeros.data();
  c.out = {out.data(), 0, 1, kPixels, kOut, kOut};
  c.epilogue.bias = bias.data();
  c.pixels = {0, kPixels};
  c.panels = {0, Panels(kOut)};
  c.scratch = scratch.data();
  constexpr int kCalls = 200;
  double least = 1e9;
  for (int round = 0; round < FullOrQuick(50, 2); ++round) {
    least = std::min(least, Seconds([&] {
                       for (int i = 0; i < kCalls; ++i) Convolve(c, Tiling::kDirect);
                     }));
  }
  return kCalls * 2.0 * kPixels * kIn * kOut / least;
}

double MillisecondsOfOurs(const MeasuredNetwork& network, int threads, int rows) {
  Caller ours(std::make_unique<CpuDenoiser>(network.ours, std::make_shared<LanePool>(threads)),
              rows);
  double least = 1e9;
  const absl::Time begin = absl::Now();
  for (int call = 0; call < 8 || absl::Now() - begin < absl::Seconds(1); ++call) {
    least = std::min(least, ours.Call());
  }
  return 1e3 * least / rows;
}

struct Measured {
  double ours = 1e9, libtorch = 1e9;  // Seconds an image.
};

Measured Measure(const MeasuredNetwork& network, int threads, int rows) {
  Caller ours(std::make_unique<CpuDenoiser>(network.ours, std::make_shared<LanePool>(threads)),
              rows);
  Caller libtorch(LibTorchDenoiser(network, rows, threads), rows);
  Measured least;
  constexpr absl::Duration kLongEnough = absl::Seconds(5);
  const absl::Time begin = absl::Now();
  for (int round = 0; round <= FullOrQuick(30, 1); ++round) {
    if (round > 5 && absl::Now() - begin > kLongEnough) break;
    // Several of each: after a call LibTorch's threads spin for a while, in the next one's way.
    for (int call = 0; call < FullOrQuick(3, 1); ++call) {
      least.ours = std::min(least.ours, ours.Call() / rows);
    }
    for (int call = 0; call < FullOrQuick(3, 1); ++call) {
      least.libtorch = std::min(least.libtorch, libtorch.Call() / rows);
    }
  }
  return least;
}

void Run(const MeasuredNetwork& network, double peak) {
  double operations = 0;
  for (const auto& layer : network.ours->layers()) operations += layer->operations();
  std::printf("\n%s: %.3g operations an image, as of direct convolutions\n", network.name.c_str(),
              operations);
  std::printf("%-8s %5s %14s %18s %16s\n", "threads", "rows", "ours, ms/row", "LibTorch, ms/row",
              "LibTorch / ours");
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::map<std::pair<int, int>, Measured> all;
  for (const int threads : cores > 1 ? std::vector<int>{1, cores} : std::vector<int>{1}) {
    for (const int rows : {1, 2, 8}) {
      const Measured it = all[{threads, rows}] = Measure(network, threads, rows);
      std::printf("%-8d %5d %14.2f %18.2f %16.2f\n", threads, rows, it.ours * 1e3,
                  it.libtorch * 1e3, it.libtorch / it.ours);
      std::fflush(stdout);
    }
  }
  const double alone = all[{1, 1}].ours;
  std::printf("one image on %d cores / on one: %.2f\n", cores, alone / all[{cores, 1}].ours);
  std::printf("ms a row, 8 rows / 1 row on one core: %.2f\n", all[{1, 8}].ours / alone);
  std::printf("share of one core's peak (%.0f GFLOP/s): %.2f\n", peak / 1e9,
              operations / alone / peak);
}

// By kind of layer, one thread, one image.
void Profile(const MeasuredNetwork& network, double peak) {
  const CpuUNetSize size = network.ours->size();
  const UNetConfig& config = network.ours->config();
  const size_t pixels = static_cast<size_t>(config.sample_height * config.sample_width);
  std::vector<float> arena(size.arena), scratch(size.scratch);
  std::vector<float> x(pixels * static_cast<size_t>(config.in_channels), 0.5f),
      f(pixels * static_cast<size_t>(config.out_channels));
  const float timestep = 500;
  const int64_t label = 1;
  LayerRun run;
  run.arena = arena.data();
  run.arena_floats = size.arena;
  run.scratch = scratch.data();
  run.x = x.data();
  run.timesteps = &timestep;
  run.labels = &label;
  run.f = f.data();
  std::vector<double> least(network.ours->layers().size(), 1e9);
  for (int round = 0; round < FullOrQuick(30, 1); ++round) {
    for (size_t i = 0; i < least.size(); ++i) {
      const Layer& layer = *network.ours->layers()[i];
      least[i] = std::min(least[i], Seconds([&] { layer.Run(run); }));
    }
  }
  std::map<std::string, std::pair<double, double>> kinds;  // Seconds, operations.
  for (size_t i = 0; i < least.size(); ++i) {
    const Layer& layer = *network.ours->layers()[i];
    auto& [seconds, operations] = kinds[layer.kind()];
    seconds += least[i];
    operations += layer.operations();
  }
  for (const auto& [kind, measured] : kinds) {
    const auto& [seconds, operations] = measured;
    std::printf("  %-24s %8.2f ms", kind.c_str(), seconds * 1e3);
    if (operations > 0) std::printf(", %.2f of the peak", operations / seconds / peak);
    std::printf("\n");
  }
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  using namespace diffusiond;
  const std::vector<std::string> arguments = ParseBenchmarkFlags(argc, argv);
  if (const int threads = absl::GetFlag(FLAGS_threads); threads > 0) {
    const absl::StatusOr<MeasuredNetwork> network =
        arguments.empty() ? UntrainedCifarNetwork() : CheckpointNetwork(arguments[0]);
    if (!network.ok()) FailBenchmark(network.status().message());
    std::printf("%.2f\n", MillisecondsOfOurs(*network, threads, absl::GetFlag(FLAGS_rows)));
    return 0;
  }
  PrintProcessor();
  const std::string wanted = absl::GetFlag(FLAGS_kernels);
  if (!wanted.empty()) UseKernelTarget(wanted);
  std::printf("kernels: %s\n", wanted.empty() ? KernelTargets().front().c_str() : wanted.c_str());
  const double peak = Peak();
  auto shipped =
      CheckpointNetwork(arguments.empty() ? "model/checkpoints/fashion-mnist" : arguments.front());
  if (!shipped.ok()) FailBenchmark(shipped.status().message());
  for (const MeasuredNetwork& network : {*shipped, UntrainedCifarNetwork()}) {
    Run(network, peak);
    Profile(network, peak);
  }
  return 0;
}
