// Prepares the next batches while the network works on this one.
#ifndef DIFFUSIOND_MODEL_TRAINING_BATCHES_BATCH_PREFETCHER_H_
#define DIFFUSIOND_MODEL_TRAINING_BATCHES_BATCH_PREFETCHER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "model/training/batches/batch_source.h"

namespace diffusiond {

// One thread that calls `fill` for batch 0, 1, 2 and so on, at most kAhead before they are taken.
// Take() is for one thread.
class BatchPrefetcher {
 public:
  // `fill` runs on the thread alone and must not depend on what is trained meanwhile.
  explicit BatchPrefetcher(std::function<void(int64_t index, TrainingBatch*)> fill);
  ~BatchPrefetcher();
  BatchPrefetcher(const BatchPrefetcher&) = delete;
  BatchPrefetcher& operator=(const BatchPrefetcher&) = delete;

  // Swaps the next batch into `batch`, whose memory is used again. Returns how long that waited.
  absl::Duration Take(TrainingBatch* batch);

 private:
  static constexpr int kAhead = 2;

  void Run();

  const std::function<void(int64_t, TrainingBatch*)> fill_;
  absl::Mutex mutex_;
  std::deque<TrainingBatch> ready_ ABSL_GUARDED_BY(mutex_);
  std::deque<TrainingBatch> empty_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_BATCHES_BATCH_PREFETCHER_H_
