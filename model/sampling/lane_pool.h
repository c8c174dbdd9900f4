// A few threads that run the pieces of one job side by side.
#ifndef DIFFUSIOND_MODEL_SAMPLING_LANE_POOL_H_
#define DIFFUSIOND_MODEL_SAMPLING_LANE_POOL_H_

#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace diffusiond {

// Lane 0 is the calling thread; each other lane has a thread of its own, for its whole life, as
// numeric libraries keep per-thread state. Thread-compatible: one Run at a time.
class LanePool {
 public:
  explicit LanePool(int lanes);
  ~LanePool();
  LanePool(const LanePool&) = delete;
  LanePool& operator=(const LanePool&) = delete;

  int lanes() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls piece(index, lane) once for every index in 0 .. count - 1, and returns when all have
  // returned. A free lane takes the next index. What a piece throws, on whichever lane, is thrown
  // from here once all have returned; of several, the first.
  void Run(int count, const std::function<void(int index, int lane)>& piece);

 private:
  void Serve(int lane);
  void Drain(int lane);

  absl::Mutex mutex_;
  const std::function<void(int, int)>* piece_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int next_ ABSL_GUARDED_BY(mutex_) = 0;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
  int unfinished_ ABSL_GUARDED_BY(mutex_) = 0;
  std::exception_ptr thrown_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_LANE_POOL_H_
