#include "model/training/batches/batch_prefetcher.h"

#include <utility>

#include "absl/time/clock.h"

namespace diffusiond {

BatchPrefetcher::BatchPrefetcher(std::function<void(int64_t, TrainingBatch*)> fill)
    : fill_(std::move(fill)), empty_(kAhead), thread_([this] { Run(); }) {}

BatchPrefetcher::~BatchPrefetcher() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  thread_.join();
}

void BatchPrefetcher::Run() {
  for (int64_t index = 0;; ++index) {
    TrainingBatch batch;
    {
      absl::MutexLock lock(&mutex_);
      const auto can_go_on = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stop_ || !empty_.empty();
      };
      mutex_.Await(absl::Condition(&can_go_on));
      if (stop_) return;
      batch = std::move(empty_.front());
      empty_.pop_front();
    }
    fill_(index, &batch);
    absl::MutexLock lock(&mutex_);
    ready_.push_back(std::move(batch));
  }
}

absl::Duration BatchPrefetcher::Take(TrainingBatch* batch) {
  const absl::Time begin = absl::Now();
  absl::MutexLock lock(&mutex_);
  const auto is_ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !ready_.empty(); };
  mutex_.Await(absl::Condition(&is_ready));
  std::swap(*batch, ready_.front());
  empty_.push_back(std::move(ready_.front()));
  ready_.pop_front();
  return absl::Now() - begin;
}

}  // namespace diffusiond
