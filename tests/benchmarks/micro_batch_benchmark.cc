// What the fixed micro-batch costs. Fixed: every core calls the network with the same few rows, on
// one thread, so that bytes depend on nothing else; this is how diffusiond runs. Free: all rows
// that there are in one call on all cores, as servers do that batch without that promise. In turn,
// so that a machine that drifts does so for both.
//
//   build/release/bin/micro_batch_benchmark [--quick] [CHECKPOINT]
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/sampling/lane_pool.h"
#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_denoiser.h"
#include "tests/benchmarks/benchmark_run.h"

namespace diffusiond {
namespace {

// One network, `rows` a call.
class Caller {
 public:
  Caller(std::shared_ptr<const UNet> network, int rows, int threads)
      : denoiser_(std::move(network), {.micro_batch = rows, .intra_op_threads = threads}),
        x_(static_cast<size_t>(rows * denoiser_.shape().elements()), 0.5f),
        f_(x_.size()),
        timesteps_(static_cast<size_t>(rows), 500),
        labels_(static_cast<size_t>(rows), 1) {}

  void Call() {
    const absl::Status status = denoiser_.Predict(x_, timesteps_, labels_, f_);
    if (!status.ok()) FailBenchmark(status.message());
  }

 private:
  UNetDenoiser denoiser_;
  std::vector<float> x_, f_, timesteps_;
  std::vector<int64_t> labels_;
};

double Seconds(const std::function<void()>& work) {
  const absl::Time start = absl::Now();
  work();
  return absl::ToDoubleSeconds(absl::Now() - start);
}

void Run(const std::string& directory) {
  auto checkpoint = Checkpoint::Open(directory);
  auto network = checkpoint.ok() ? LoadUNet(*checkpoint) : checkpoint.status();
  if (!network.ok()) FailBenchmark(network.status().message());
  const int rounds = FullOrQuick(7, 1);
  const int rows_a_round = FullOrQuick(64, 8);
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  LanePool pool(cores);
  std::map<int, double> fixed, free;  // Best rows a second, by rows of a call.
  std::map<int, std::vector<std::unique_ptr<Caller>>> lanes;
  std::map<int, std::unique_ptr<Caller>> whole;
  for (int rows : {1, 2, 4, 8}) {
    for (int lane = 0; lane < cores; ++lane) {
      lanes[rows].push_back(std::make_unique<Caller>(*network, rows, 1));
    }
  }
  for (int rows = 1; rows <= rows_a_round / 2; rows *= 2) {
    whole[rows] = std::make_unique<Caller>(*network, rows, cores);
  }

  for (int round = 0; round <= rounds; ++round) {
    for (auto& [rows, callers] : lanes) {
      const double seconds = Seconds([&, rows = rows] {
        pool.Run(rows_a_round / rows,
                 [&callers = callers](int, int lane) { callers[lane]->Call(); });
      });
      if (round > 0) fixed[rows] = std::max(fixed[rows], rows_a_round / seconds);
    }
    for (auto& [rows, caller] : whole) {
      const double seconds = Seconds([&, rows = rows] {
        for (int call = 0; call < rows_a_round / rows; ++call) caller->Call();
      });
      if (round > 0) free[rows] = std::max(free[rows], rows_a_round / seconds);
    }
  }

  std::printf("%s on %d cores; network passes a second, best of %d rounds\n", directory.c_str(),
              cores, rounds);
  std::printf("%-10s %20s %20s\n", "rows/call", "fixed, a core each", "free, all cores");
  double best_free = 0;
  for (const auto& [rows, rate] : free) {
    best_free = std::max(best_free, rate);
    std::printf("%-10d %20.1f %20.1f\n", rows, fixed.contains(rows) ? fixed[rows] : 0.0, rate);
  }
  for (const auto& [rows, rate] : fixed) {
    std::printf("fixed micro-batch %d / best free shape: %.3f\n", rows, rate / best_free);
  }
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  const std::vector<std::string> arguments = diffusiond::ParseBenchmarkFlags(argc, argv);
  diffusiond::PrintProcessor();
  diffusiond::Run(arguments.empty() ? "model/checkpoints/fashion-mnist" : arguments.front());
  return 0;
}
