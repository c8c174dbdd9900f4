// How long steps take, as they were seen to.
#ifndef DIFFUSIOND_SERVER_ENGINE_PACE_METER_H_
#define DIFFUSIOND_SERVER_ENGINE_PACE_METER_H_

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/time/time.h"
#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// Moving averages over one model's step batches. Thread-compatible.
class PaceMeter {
 public:
  // A step batch that ended now and carried `passes` of the `capacity` its worker has.
  void Add(absl::Time now, absl::Duration duration, int passes, int capacity) {
    last_ = now;
    capacity_ = std::max(1, capacity);
    const size_t class_of_load = Pace::LoadOf(passes);
    largest_ = std::max(largest_, class_of_load);
    Load& load = loads_[class_of_load];
    load.fastest = std::min(load.fastest, duration);
    if (passes > 0) fastest_pass_ = std::min(fastest_pass_, duration / passes);
    Average(load.step, duration);
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

  // Whether one was seen of the load that each of the workers has when all together have so many
  // network passes to do at once.
  bool HasSeen(int64_t passes, int side_by_side) const {
    return loads_[LoadOf(passes, side_by_side)].step > absl::ZeroDuration();
  }

  // With workers that carry so many network passes together. Zero before the first Add.
  Pace pace(int side_by_side) const {
    Pace pace = {.side_by_side = std::max(1, side_by_side)};
    if (side_by_side >= 1) pace.pass = full_step_ / side_by_side;
    for (size_t i = 0; i < pace.steps.size(); ++i) {
      // A batch takes no longer than those that carry more.
      absl::Duration step = absl::InfiniteDuration();
      for (size_t load = LoadOf(int64_t{1} << i, side_by_side); load < loads_.size(); ++load) {
        if (loads_[load].step > absl::ZeroDuration()) step = std::min(step, loads_[load].step);
      }
      pace.steps[i] = step < absl::InfiniteDuration() ? step : full_step_;
    }
    return pace;
  }
  // The fastest that was seen in the place of averages, and of loads that were not seen what they
  // take at least: as long as smaller ones, and as so many passes of larger ones. Only after an
  // Add.
  Pace best(int side_by_side) const {
    Pace pace = {.side_by_side = std::max(1, side_by_side)};
    for (size_t i = 0; i < pace.steps.size(); ++i) {
      size_t load = LoadOf(int64_t{1} << i, side_by_side);
      absl::Duration& step = pace.steps[i] = absl::ZeroDuration();
      if (loads_[load].fastest == absl::InfiniteDuration() && load < largest_) {
        step = std::max<int64_t>(1, (int64_t{1} << load) / 2) * fastest_pass_;
      }
      while (load > 0 && loads_[load].fastest == absl::InfiniteDuration()) --load;
      if (loads_[load].fastest < absl::InfiniteDuration()) {
        step = std::max(step, loads_[load].fastest);
      }
    }
    pace.pass = pace.StepOf(pace.side_by_side) / pace.side_by_side;
    return pace;
  }

 private:
  static constexpr double kNewest = 0.1;  // The newest batch's part in the average.

  // Batches of one class of load.
  struct Load {
    absl::Duration step;  // On the average; zero: none was seen.
    absl::Duration fastest = absl::InfiniteDuration();
  };

  // Of each worker, when all together have so many network passes to do at once.
  size_t LoadOf(int64_t passes, int side_by_side) const {
    const int workers = std::max(1, side_by_side / capacity_);
    return Pace::LoadOf(std::min<int64_t>(capacity_, (passes + workers - 1) / workers));
  }

  static void Average(absl::Duration& average, absl::Duration value) {
    average = average == absl::ZeroDuration() ? value : average + kNewest * (value - average);
  }

  absl::Time last_ = absl::InfinitePast();
  int capacity_ = 1;  // Of the last worker.
  absl::Duration fastest_pass_ = absl::InfiniteDuration();
  absl::Duration full_step_;
  std::array<Load, Pace::kLoads> loads_;
  size_t largest_ = 0;  // Of the loads that were seen.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_PACE_METER_H_
