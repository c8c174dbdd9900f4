// Runs a CpuUNet for any number of images on the threads of a pool.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_NETWORK_RUNNER_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_NETWORK_RUNNER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/cpu_network/cpu_unet.h"
#include "model/cpu_network/thread_barrier.h"
#include "model/sampling/lane_pool.h"

namespace diffusiond {

// Whole images go to one thread each, as many as can be shared evenly; threads join in what is
// left, so that one image alone is drawn by all. The bytes are the same either way. Working memory
// is taken once. Thread-compatible.
class NetworkRunner {
 public:
  // As of Denoiser::Predict, of so many rows.
  struct Call {
    size_t rows = 0;
    const float* x = nullptr;
    const float* timesteps = nullptr;
    const int64_t* labels = nullptr;
    float* f = nullptr;
  };

  NetworkRunner(std::shared_ptr<const CpuUNet> network, std::shared_ptr<LanePool> pool);

  const CpuUNet& network() const { return *network_; }
  // Rows that keep all threads busy: one a thread, and an even number, as guided images are two.
  // More at once share the reading of the weights, which is worth a few percent, and keep each
  // other waiting.
  size_t capacity() const { return threads_ + threads_ % 2; }
  void Run(const Call& call);

  // Floats that one takes for so many threads.
  static size_t FloatsFor(const CpuUNetSize& size, size_t threads);

 private:
  // All layers for the rows from `first` on, by thread `thread` of `threads`, of which `leader` is
  // the first.
  void RunRows(const Call& call, size_t first, size_t rows, size_t leader, size_t thread,
               size_t threads);

  const std::shared_ptr<const CpuUNet> network_;
  const std::shared_ptr<LanePool> pool_;
  const size_t threads_;
  const size_t rows_per_pass_;
  std::vector<FloatArray> arenas_;  // Of each thread.
  std::vector<FloatArray> scratch_;
  std::vector<ThreadBarrier> barriers_;  // Of the team that each thread may lead.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_NETWORK_RUNNER_H_
