#include "model/sampling/lane_pool.h"

namespace diffusiond {

LanePool::LanePool(int lanes) {
  for (int lane = 1; lane < lanes; ++lane) {
    threads_.emplace_back([this, lane] { Serve(lane); });
  }
}

LanePool::~LanePool() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void LanePool::Run(int count, const std::function<void(int, int)>& piece) {
  {
    absl::MutexLock lock(&mutex_);
    piece_ = &piece;
    next_ = 0;
    count_ = count;
    unfinished_ = count;
  }
  Drain(0);
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](int* unfinished) { return *unfinished == 0; }, &unfinished_));
  count_ = 0;
}

void LanePool::Drain(int lane) {
  while (true) {
    int index;
    const std::function<void(int, int)>* piece;
    {
      absl::MutexLock lock(&mutex_);
      if (next_ >= count_) return;
      index = next_++;
      piece = piece_;
    }
    (*piece)(index, lane);
    absl::MutexLock lock(&mutex_);
    --unfinished_;
  }
}

void LanePool::Serve(int lane) {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](LanePool* pool) ABSL_EXCLUSIVE_LOCKS_REQUIRED(pool->mutex_) {
            return pool->stopping_ || pool->next_ < pool->count_;
          },
          this));
      if (stopping_) return;
    }
    Drain(lane);
  }
}

}  // namespace diffusiond
