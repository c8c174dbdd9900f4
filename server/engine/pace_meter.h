// How long steps take, as they were seen to.
#ifndef DIFFUSIOND_SERVER_ENGINE_PACE_METER_H_
#define DIFFUSIOND_SERVER_ENGINE_PACE_METER_H_

#include <algorithm>

#include "absl/time/time.h"
#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// Moving averages over one model's step batches. Thread-compatible.
class PaceMeter {
 public:
  // A step batch that ended now and carried `passes` of the `capacity` its worker has.
  void Add(absl::Time now, absl::Duration duration, int passes, int capacity) {
    last_ = now;
    capacity_ = capacity;
    fastest_ = std::min(fastest_, duration);
    if (passes > 0) fastest_pass_ = std::min(fastest_pass_, duration / passes);
    Average(step_, duration);
    // A batch that is less than half full says little about full ones: that they take no longer
    // than its passes would one after another.
    if (2 * passes > capacity || full_step_ == absl::ZeroDuration()) {
      Average(full_step_, duration);
    } else if (passes > 0 && duration > absl::ZeroDuration()) {
      full_step_ = std::min(full_step_, duration * capacity / passes);
    }
  }

  bool has_seen_any() const { return last_ > absl::InfinitePast(); }
  absl::Time last() const { return last_; }  // Infinite past before the first Add.

  // With workers that carry so many network passes together. Zero before the first Add.
  Pace pace(int side_by_side) const {
    if (side_by_side < 1) return {step_, absl::ZeroDuration(), 1};
    return {step_, full_step_ / side_by_side, side_by_side};
  }
  // Of the fastest that was seen, in the place of averages. Only after an Add.
  Pace best(int side_by_side) const {
    const int capacity = std::max(1, side_by_side);
    return {fastest_, fastest_pass_ * capacity_ / capacity, capacity};
  }

 private:
  static constexpr double kNewest = 0.1;  // The newest batch's part in the average.

  static void Average(absl::Duration& average, absl::Duration value) {
    average = average == absl::ZeroDuration() ? value : average + kNewest * (value - average);
  }

  absl::Time last_ = absl::InfinitePast();
  int capacity_ = 1;  // Of the last worker.
  absl::Duration fastest_ = absl::InfiniteDuration();
  absl::Duration fastest_pass_ = absl::InfiniteDuration();
  absl::Duration step_;
  absl::Duration full_step_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_PACE_METER_H_
