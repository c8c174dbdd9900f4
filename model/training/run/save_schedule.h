// When a training run saves.
#ifndef DIFFUSIOND_MODEL_TRAINING_RUN_SAVE_SCHEDULE_H_
#define DIFFUSIOND_MODEL_TRAINING_RUN_SAVE_SCHEDULE_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace diffusiond {

// Every so many steps, every so much time, and soon again after a save that failed: a full disk may
// have been emptied meanwhile. Thread-compatible.
class SaveSchedule {
 public:
  static constexpr absl::Duration kRetryAfter = absl::Minutes(1);

  // 0: never, for each. `now` is handed in by tests.
  SaveSchedule(int64_t every_steps, absl::Duration interval,
               std::function<absl::Time()> now = absl::Now)
      : every_steps_(every_steps), interval_(interval), now_(std::move(now)), tried_(now_()) {}

  bool Due(int64_t step) const {
    if (every_steps_ > 0 && step % every_steps_ == 0) return true;
    const absl::Duration since = now_() - tried_;
    return (interval_ > absl::ZeroDuration() && since >= interval_) ||
           (failed_ && since >= kRetryAfter);
  }

  // The outcome of a save.
  void Saved(bool ok) {
    tried_ = now_();
    failed_ = !ok;
  }

 private:
  const int64_t every_steps_;
  const absl::Duration interval_;
  const std::function<absl::Time()> now_;
  absl::Time tried_;
  bool failed_ = false;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_RUN_SAVE_SCHEDULE_H_
