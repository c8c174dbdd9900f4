#include "server/rpc/call_tracker.h"

namespace diffusiond {

bool CallTracker::Enter() {
  absl::MutexLock lock(&mu_);
  ++active_;
  ++entered_;
  return !draining_;
}

void CallTracker::Leave() {
  absl::MutexLock lock(&mu_);
  --active_;
}

void CallTracker::StartDraining() {
  absl::MutexLock lock(&mu_);
  draining_ = true;
}

bool CallTracker::AwaitIdle(absl::Time deadline) {
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return active_ == 0; };
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithDeadline(absl::Condition(&idle), deadline);
}

int CallTracker::active() const {
  absl::MutexLock lock(&mu_);
  return active_;
}

int64_t CallTracker::entered() const {
  absl::MutexLock lock(&mu_);
  return entered_;
}

}  // namespace diffusiond
