// What an engine reports, counted.
#ifndef DIFFUSIOND_TESTS_TESTING_COUNTING_ENGINE_METRICS_H_
#define DIFFUSIOND_TESTS_TESTING_COUNTING_ENGINE_METRICS_H_

#include <algorithm>
#include <limits>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/engine_metrics.h"

namespace diffusiond {

// Thread-safe. Must outlive the engine.
class CountingEngineMetrics : public EngineMetrics {
 public:
  struct Counts {
    int waiting = 0;   // Now.
    int resident = 0;  // Now.
    int lowest_resident_limit = std::numeric_limits<int>::max();
    int preemptions = 0;
    int migrations = 0;
    int device_failures = 0;
  };

  Counts counts() const {
    absl::MutexLock lock(&mu_);
    return counts_;
  }
  // Waits until so many trajectories are admitted and not finished.
  void AwaitAdmitted(int trajectories) const {
    absl::MutexLock lock(&mu_);
    const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return counts_.waiting + counts_.resident == trajectories;
    };
    mu_.Await(absl::Condition(&there));
  }

  void OnQueueDepth(const QueueDepth& depth) override {
    absl::MutexLock lock(&mu_);
    counts_.waiting = depth.waiting;
    counts_.resident = depth.resident;
    counts_.lowest_resident_limit = std::min(counts_.lowest_resident_limit, depth.resident_limit);
  }
  void OnDeviceFailure(const std::string&) override {
    absl::MutexLock lock(&mu_);
    ++counts_.device_failures;
  }
  void OnPreemptions(int count) override {
    absl::MutexLock lock(&mu_);
    counts_.preemptions += count;
  }
  void OnMigrations(int count) override {
    absl::MutexLock lock(&mu_);
    counts_.migrations += count;
  }

 private:
  mutable absl::Mutex mu_;
  Counts counts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_COUNTING_ENGINE_METRICS_H_
