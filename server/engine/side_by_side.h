// When trajectories are done that share what workers carry side by side.
#ifndef DIFFUSIOND_SERVER_ENGINE_SIDE_BY_SIDE_H_
#define DIFFUSIOND_SERVER_ENGINE_SIDE_BY_SIDE_H_

#include <algorithm>
#include <functional>
#include <vector>

#include "absl/time/time.h"
#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// Trajectories laid out one after the other, each where room is first. Thread-compatible.
class SideBySide {
 public:
  // From `begin` on there are so many places, one for a network pass, which need not be a whole
  // number: half a place is one on which steps take twice as long. Memory: O(places).
  SideBySide(absl::Time begin, double places, absl::Duration step)
      : free_from_(static_cast<size_t>(std::max(1.0, places)), begin),
        step_(static_cast<double>(free_from_.size()) / places * step) {}

  // When all of them are done.
  template <typename Trajectories>
  absl::Time Place(const Trajectories& trajectories) {
    absl::Time end = absl::InfinitePast();
    for (const PolicyTrajectory& trajectory : trajectories)
      end = std::max(end, PlaceOne(trajectory));
    return end;
  }

 private:
  absl::Time PlaceOne(const PolicyTrajectory& trajectory) {
    const auto later = std::greater<absl::Time>();
    // A step's network passes run side by side where there are places enough.
    const int at_once =
        1 + (trajectory.extra_left + trajectory.rows_left - 1) / std::max(1, trajectory.rows_left);
    const int width = std::min(at_once, static_cast<int>(free_from_.size()));
    const int turns =
        width == at_once ? trajectory.rows_left : (trajectory.work() + width - 1) / width;
    absl::Time begin = absl::InfinitePast();
    for (int i = 0; i < width; ++i) {
      std::pop_heap(free_from_.begin(), free_from_.end() - i, later);
      begin = std::max(begin, *(free_from_.end() - 1 - i));
    }
    const absl::Time end = begin + turns * step_;
    for (int i = width; i > 0; --i) {
      *(free_from_.end() - i) = end;
      std::push_heap(free_from_.begin(), free_from_.end() - i + 1, later);
    }
    return end;
  }

  std::vector<absl::Time> free_from_;  // A heap, the first free at its top.
  absl::Duration step_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_SIDE_BY_SIDE_H_
