#include "server/idle_trim.h"

#include <malloc.h>

#include <utility>

namespace diffusiond {

IdleTrim::IdleTrim(Options options) : options_(std::move(options)) {
  thread_ = std::thread([this] { LookUntilStopped(); });
}

IdleTrim::~IdleTrim() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void IdleTrim::LookUntilStopped() {
  int64_t seen = 0;
  bool has_worked = false;  // Since the last trim of an idle server.
  int looks = 0;            // Since the last trim.
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      if (mu_.AwaitWithTimeout(absl::Condition(&stopping_), options_.look_every)) return;
    }
    const Options::Calls calls = options_.calls();
    const bool is_idle = calls.running == 0 && calls.seen == seen;
    seen = calls.seen;
    has_worked = has_worked || !is_idle;
    ++looks;
    if (!has_worked || (!is_idle && looks < options_.busy_looks)) continue;
    // What runs gives its memory back later.
    has_worked = !is_idle;
    looks = 0;
    if (options_.trim) {
      options_.trim();
    } else {
      malloc_trim(0);
    }
  }
}

}  // namespace diffusiond
