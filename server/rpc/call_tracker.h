// Knows how many calls run, and stops new ones when the server drains.
#ifndef DIFFUSIOND_SERVER_RPC_CALL_TRACKER_H_
#define DIFFUSIOND_SERVER_RPC_CALL_TRACKER_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace diffusiond {

// Thread-safe.
class CallTracker {
 public:
  // Counts a call in; each must Leave. False: draining, the call is to be refused (and still must
  // Leave, so that its refusal is sent before the server goes).
  bool Enter();
  void Leave();

  // From now on Enter says no.
  void StartDraining();

  // False if calls still run at `deadline`.
  bool AwaitIdle(absl::Time deadline);

  int active() const;
  int64_t entered() const;  // So far.

 private:
  mutable absl::Mutex mu_;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  int active_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t entered_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_CALL_TRACKER_H_
