// Looks after answers whose clients may have stopped reading.
#ifndef DIFFUSIOND_SERVER_RPC_STALL_WATCH_H_
#define DIFFUSIOND_SERVER_RPC_STALL_WATCH_H_

#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace diffusiond {

// Why such a call ends: CANCELLED.
absl::Status StalledSince(absl::Time start);

// One thread for all streams: a timer for each write would cost more than what it guards, and
// gRPC's own alarms may go off after the server is gone. Thread-safe.
class StallWatch {
 public:
  class Stream {
   public:
    virtual ~Stream() = default;
    // Ends the call if its client has taken nothing since `limit`. Must not block.
    virtual void EndIfStalledSince(absl::Time limit) = 0;
  };

  // A stall is found between `timeout` and a quarter more after it began. Infinite or not positive:
  // streams are never ended.
  explicit StallWatch(absl::Duration timeout);
  ~StallWatch();

  // Until the stream is gone.
  void Add(std::weak_ptr<Stream> stream);

 private:
  void WatchUntilStopped();
  void ForgetGone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const absl::Duration timeout_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::weak_ptr<Stream>> streams_ ABSL_GUARDED_BY(mu_);
  size_t forget_at_ ABSL_GUARDED_BY(mu_) = 1024;  // Size at which those that are gone are dropped.
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_STALL_WATCH_H_
