// Where the threads of a team wait for each other between two layers.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_THREAD_BARRIER_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_THREAD_BARRIER_H_

#include <atomic>
#include <cstdint>

namespace diffusiond {

// Thread-safe. Spins for about as long as a layer's shares differ, then sleeps: beside other work
// on the same cores a thread that spins keeps away the one it waits for.
class ThreadBarrier {
 public:
  // Returns when `threads` threads have called it.
  void Wait(uint32_t threads) {
    const uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      phase_.notify_all();
      return;
    }
    for (int spin = 0; spin < kSpins; ++spin) {
      if (phase_.load(std::memory_order_acquire) != phase) return;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    while (phase_.load(std::memory_order_acquire) == phase) phase_.wait(phase);
  }

 private:
  static constexpr int kSpins = 2000;

  std::atomic<uint32_t> arrived_{0};
  std::atomic<uint32_t> phase_{0};
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_THREAD_BARRIER_H_
