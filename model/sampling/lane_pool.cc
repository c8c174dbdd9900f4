#include "model/sampling/lane_pool.h"

#include <pthread.h>

#include <utility>

namespace diffusiond {

LanePool::LanePool(int lanes) {
  for (int lane = 1; lane < lanes; ++lane) {
    threads_.emplace_back([this, lane] {
      pthread_setname_np(pthread_self(), "lane");
      Serve(lane);
    });
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
  if (thrown_ != nullptr) std::rethrow_exception(std::exchange(thrown_, nullptr));
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
    std::exception_ptr thrown;
    try {
      (*piece)(index, lane);
    } catch (...) {
      thrown = std::current_exception();
    }
    absl::MutexLock lock(&mutex_);
    if (thrown_ == nullptr) thrown_ = std::move(thrown);
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
