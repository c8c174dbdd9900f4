// Time that passes under a supervisor's eyes.
#ifndef DIFFUSIOND_TESTS_TESTING_WATCHED_TIME_H_
#define DIFFUSIOND_TESTS_TESTING_WATCHED_TIME_H_

#include <algorithm>

#include "absl/time/time.h"
#include "server/worker/worker_supervisor.h"
#include "tests/testing/fake_clock.h"

namespace diffusiond {

// A clock that jumps is one of a machine that stood still, where nothing hangs.
inline void PassWatched(absl::Duration time, FakeClock& clock, WorkerSupervisor& supervisor) {
  constexpr absl::Duration kCheckEvery = absl::Seconds(10);
  while (time > absl::ZeroDuration()) {
    const absl::Duration part = std::min(time, kCheckEvery);
    clock.Advance(part);
    supervisor.Check();
    time -= part;
  }
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_WATCHED_TIME_H_
