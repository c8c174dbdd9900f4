// What the fixed micro-batch costs: rows a second of the shipped model's U-Net on one thread, by
// rows of one call. kDefaultCpuMicroBatch is chosen from this: small, so that one guided image
// keeps one core and two images keep two, and near the flat part of the curve.
//
//   build/release/bin/micro_batch_benchmark
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_denoiser.h"

namespace diffusiond {
namespace {

std::shared_ptr<UNet> ShippedNetwork() {
  auto checkpoint = Checkpoint::Open("model/checkpoints/fashion-mnist");
  if (!checkpoint.ok()) return nullptr;
  auto network = LoadUNet(*checkpoint);
  return network.ok() ? *network : nullptr;
}

void BM_NetworkRows(benchmark::State& state) {
  static const std::shared_ptr<UNet>& network = *new std::shared_ptr<UNet>(ShippedNetwork());
  if (network == nullptr) {
    state.SkipWithError("run this in the repository's root: the shipped model is not there");
    return;
  }
  const int rows = static_cast<int>(state.range(0));
  UNetDenoiser denoiser(network, {.rows = rows});
  const size_t n = static_cast<size_t>(rows);
  const std::vector<float> x(n * static_cast<size_t>(denoiser.shape().elements()), 0.5f);
  const std::vector<float> timesteps(n, 500);
  const std::vector<int64_t> labels(n, 1);
  std::vector<float> f(x.size());
  for (auto _ : state) {
    if (!denoiser.Predict(x, timesteps, labels, f).ok()) state.SkipWithError("the network failed");
  }
  state.SetItemsProcessed(state.iterations() * rows);
}

BENCHMARK(BM_NetworkRows)->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace diffusiond

BENCHMARK_MAIN();
