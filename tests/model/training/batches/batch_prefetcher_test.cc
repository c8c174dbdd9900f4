#include "model/training/batches/batch_prefetcher.h"

#include <gtest/gtest.h>

#include <atomic>

namespace diffusiond {
namespace {

void FillWithIndex(int64_t index, TrainingBatch* batch) { batch->labels.assign(1, index); }

TEST(BatchPrefetcherTest, BatchesComeInOrder) {
  BatchPrefetcher prefetcher(FillWithIndex);
  TrainingBatch batch;
  for (int64_t i = 0; i < 100; ++i) {
    EXPECT_GE(prefetcher.Take(&batch), absl::ZeroDuration());
    EXPECT_EQ(batch.labels, std::vector<int64_t>{i});
  }
}

TEST(BatchPrefetcherTest, RunsAheadWithinALimit) {
  absl::Mutex mutex;
  int64_t filled = 0;
  BatchPrefetcher prefetcher([&](int64_t index, TrainingBatch* batch) {
    FillWithIndex(index, batch);
    absl::MutexLock lock(&mutex);
    ++filled;
  });
  TrainingBatch batch;
  prefetcher.Take(&batch);
  // Without being asked for them: those that it may prepare, and not the one that was taken again.
  absl::MutexLock lock(&mutex);
  const auto ahead = [&filled] { return filled == 3; };
  mutex.Await(absl::Condition(&ahead));
}

TEST(BatchPrefetcherTest, EndsWhileBatchesAreLeft) {
  BatchPrefetcher unused(FillWithIndex);
  BatchPrefetcher used(FillWithIndex);
  TrainingBatch batch;
  used.Take(&batch);
}

}  // namespace
}  // namespace diffusiond
