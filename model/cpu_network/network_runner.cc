#include "model/cpu_network/network_runner.h"

#include <algorithm>

namespace diffusiond {
namespace {

// Images that a thread takes through the network together, where theirs are no large ones.
constexpr size_t kRowsPerPass = 2;
constexpr size_t kLargeArena = size_t{1} << 22;

size_t RowsPerPass(const CpuUNetSize& size) { return size.arena > kLargeArena ? 1 : kRowsPerPass; }

}  // namespace

NetworkRunner::NetworkRunner(std::shared_ptr<const CpuUNet> network, std::shared_ptr<LanePool> pool)
    : network_(std::move(network)),
      pool_(std::move(pool)),
      threads_(static_cast<size_t>(pool_->lanes())),
      rows_per_pass_(RowsPerPass(network_->size())),
      barriers_(threads_) {
  for (size_t i = 0; i < threads_; ++i) {
    arenas_.push_back(MakeFloatArray(rows_per_pass_ * network_->size().arena));
    scratch_.push_back(MakeFloatArray(network_->size().scratch));
  }
}

size_t NetworkRunner::FloatsFor(const CpuUNetSize& size, size_t threads) {
  return threads * (RowsPerPass(size) * size.arena + size.scratch);
}

void NetworkRunner::RunRows(const Call& call, size_t first, size_t rows, size_t leader,
                            size_t thread, size_t threads) {
  const UNetConfig& config = network_->config();
  const size_t pixels = static_cast<size_t>(config.sample_height * config.sample_width);
  LayerRun run;
  run.rows = rows;
  run.arena = arenas_[leader].get();
  run.arena_floats = network_->size().arena;
  run.thread = thread;
  run.threads = threads;
  run.scratch = scratch_[leader + thread].get();
  run.x = call.x + first * pixels * static_cast<size_t>(config.in_channels);
  run.timesteps = call.timesteps + first;
  run.labels = call.labels == nullptr ? nullptr : call.labels + first;
  run.f = call.f + first * pixels * static_cast<size_t>(config.out_channels);
  const auto wait = [&] {
    if (threads > 1) barriers_[leader].Wait(static_cast<uint32_t>(threads));
  };
  wait();  // The leader may still have an image of its own in the arena.
  for (const auto& layer : network_->layers()) {
    layer->Run(run);
    wait();
  }
}

void NetworkRunner::Run(const Call& call) {
  const size_t each = call.rows / threads_, left = call.rows % threads_;
  pool_->Run(static_cast<int>(threads_), [&](int index, int) {
    const size_t thread = static_cast<size_t>(index);
    for (size_t done = 0; done < each; done += rows_per_pass_) {
      RunRows(call, thread * each + done, std::min(rows_per_pass_, each - done), thread, 0, 1);
    }
    if (left == 0) return;
    // `left` teams, of which some have a thread more.
    const size_t team = ((thread + 1) * left - 1) / threads_;
    const size_t begin = team * threads_ / left, end = (team + 1) * threads_ / left;
    RunRows(call, threads_ * each + team, 1, begin, thread - begin, end - begin);
  });
}

}  // namespace diffusiond
