// How far our network's images are from those by LibTorch's, drawn from the same seeds: by the
// model's defaults, and by DDPM in all of its steps. Fails where more than rounding could tell them
// apart.
//
//   build/release/bin/drawn_images_benchmark [--quick] [CHECKPOINT]
#include <algorithm>
#include <cmath>
#include <cstdio>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "model/checkpoint/diffusers_directory.h"
#include "model/cpu_network/cpu_denoiser.h"
#include "model/evaluation/drawn_images.h"
#include "model/imaging/image.h"
#include "model/sampling/plan_runner.h"
#include "tests/benchmarks/benchmark_run.h"
#include "tests/benchmarks/measured_networks.h"

namespace diffusiond {
namespace {

constexpr int kRows = 8;
// One of 255 levels. Rounding differs by 1e-6 an evaluation, and a trajectory makes little more of
// it.
constexpr double kMostDifference = 2.0 / 255;

template <typename T>
T Checked(absl::StatusOr<T> value) {
  if (!value.ok()) FailBenchmark(value.status().message());
  return *std::move(value);
}

std::unique_ptr<PlanRunner> Ours(const MeasuredNetwork& network, int threads) {
  const auto pool = std::make_shared<LanePool>(threads);
  return Checked(PlanRunner::Create(std::make_unique<CpuDenoiser>(network.ours, pool), pool));
}

std::unique_ptr<PlanRunner> LibTorchs(const MeasuredNetwork& network, int threads) {
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(LibTorchDenoiser(network, kRows, threads));
  return Checked(PlanRunner::Create(std::move(lanes)));
}

void Compare(const MeasuredNetwork& network, const CheckpointConfig& config,
             const Setting& setting) {
  const ModelSchedule schedule = Checked(MakeModelSchedule(config.scheduler));
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const auto drawn_by = [&](const std::unique_ptr<PlanRunner>& runner) {
    return Checked(Draw(config, schedule, setting, /*seed=*/0, runner.get())).frames;
  };
  const std::vector<Frame> ours = drawn_by(Ours(network, cores));
  const std::vector<Frame> theirs = drawn_by(LibTorchs(network, cores));
  double most = 0, squares = 0, values = 0, changed = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const Image our_bytes = ToImage(ours[i]);
    const Image their_bytes = ToImage(theirs[i]);
    for (size_t j = 0; j < our_bytes.pixels.size(); ++j)
      changed += our_bytes.pixels[j] != their_bytes.pixels[j];
    for (size_t j = 0; j < ours[i].values.size(); ++j) {
      const double difference = std::abs(double{ours[i].values[j]} - theirs[i].values[j]);
      most = std::max(most, difference);
      squares += difference * difference;
      ++values;
    }
  }
  std::printf(
      "%zu images, %s: they differ by %.1e (rms) and %.1e at most, of values in -1 .. 1; as 8 bits "
      "%.0f of %.0f pixels differ\n",
      ours.size(), setting.ToString().c_str(), std::sqrt(squares / values), most, changed, values);
  std::fflush(stdout);
  if (most > kMostDifference) FailBenchmark("the images are not the same");
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  using namespace diffusiond;
  const std::vector<std::string> arguments = ParseBenchmarkFlags(argc, argv);
  const std::string directory =
      arguments.empty() ? "model/checkpoints/fashion-mnist" : arguments.front();
  PrintProcessor();
  const CheckpointConfig config = Checked(Checkpoint::Open(directory)).config();
  const MeasuredNetwork network = Checked(CheckpointNetwork(directory));
  Compare(network, config, Checked(DefaultSetting(config, FullOrQuick(1000, 10))));
  Setting ddpm = Checked(DefaultSetting(config, FullOrQuick(20, 1)));
  ddpm.sampling = SamplingOptions();
  ddpm.sampling.sampler = "ddpm";
  ddpm.sampling.steps = FullOrQuick(static_cast<int>(config.scheduler.num_train_timesteps), 100);
  ddpm.guidance_scale = 1;
  Compare(network, config, ddpm);
  return 0;
}
