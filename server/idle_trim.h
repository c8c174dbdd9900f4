// Gives memory back to the system when nothing runs.
#ifndef DIFFUSIOND_SERVER_IDLE_TRIM_H_
#define DIFFUSIOND_SERVER_IDLE_TRIM_H_

#include <cstdint>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace diffusiond {

// glibc keeps what was freed, for the next one who asks: after a flood of requests that is most of
// what a server holds.
class IdleTrim {
 public:
  struct Options {
    absl::Duration look_every = absl::Seconds(5);
    int busy_looks = 6;  // A server that is never idle trims at each so manieth look.
    // How many calls there were so far, and how many run.
    struct Calls {
      int64_t seen = 0;
      int running = 0;
    };
    std::function<Calls()> calls;
    std::function<void()> trim;  // Unset: malloc_trim(3).
  };

  // Trims when no call runs, none came since the last look, and some did since the last time; where
  // calls never cease, all the same now and then.
  explicit IdleTrim(Options options);
  ~IdleTrim();

 private:
  void LookUntilStopped();

  const Options options_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_IDLE_TRIM_H_
