// A clock that stands until the test moves it.
#ifndef DIFFUSIOND_TESTS_TESTING_FAKE_CLOCK_H_
#define DIFFUSIOND_TESTS_TESTING_FAKE_CLOCK_H_

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace diffusiond {

// Thread-safe. Must outlive what AsFunction is given to.
class FakeClock {
 public:
  absl::Time Now() const {
    absl::MutexLock lock(&mu_);
    return now_;
  }
  void Advance(absl::Duration duration) {
    absl::MutexLock lock(&mu_);
    now_ += duration;
  }
  std::function<absl::Time()> AsFunction() const {
    return [this] { return Now(); };
  }

 private:
  mutable absl::Mutex mu_;
  absl::Time now_ ABSL_GUARDED_BY(mu_) = absl::FromUnixSeconds(1'700'000'000);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_FAKE_CLOCK_H_
