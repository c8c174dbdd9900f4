// A switch that ends running calls, and that a signal handler may throw.
#ifndef DIFFUSIOND_CLIENT_CANCELLATION_H_
#define DIFFUSIOND_CLIENT_CANCELLATION_H_

#include <functional>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace diffusiond {

// Thread-safe. One object may serve any number of calls, at once or in turn; once cancelled it
// stays so, and calls that begin later end at once.
class Cancellation {
 public:
  // RESOURCE_EXHAUSTED: no file descriptor left.
  static absl::StatusOr<std::unique_ptr<Cancellation>> Create();
  ~Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // Async-signal-safe: one write(2), errno untouched.
  void Cancel();

  bool cancelled() const;

  // Waits until cancelled or until `timeout` is over. True: cancelled.
  bool WaitFor(absl::Duration timeout) const;

 private:
  friend class CancellationWatcher;
  explicit Cancellation(int event_fd) : event_fd_(event_fd) {}

  const int event_fd_;  // Readable once cancelled; nobody ever reads it.
};

// Calls `on_cancel` once, from its own thread, if `cancellation` is thrown during its life. Does
// nothing for a null cancellation. `on_cancel` must not destroy the watcher.
class CancellationWatcher {
 public:
  CancellationWatcher(const Cancellation* cancellation, std::function<void()> on_cancel);
  ~CancellationWatcher();  // Waits for a running on_cancel.
  CancellationWatcher(const CancellationWatcher&) = delete;
  CancellationWatcher& operator=(const CancellationWatcher&) = delete;

 private:
  int done_fd_ = -1;
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_CANCELLATION_H_
