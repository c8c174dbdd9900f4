// How much work is left, and how much of it in the shorter trajectories.
#ifndef DIFFUSIOND_SERVER_ENGINE_BACKLOG_H_
#define DIFFUSIOND_SERVER_ENGINE_BACKLOG_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// Sums of network passes in classes of length that double. Every operation costs the same, however
// many trajectories there are. Thread-compatible.
class Backlog {
 public:
  void Add(const PolicyTrajectory& trajectory) { Change(trajectory, 1); }
  void Subtract(const PolicyTrajectory& trajectory) { Change(trajectory, -1); }

  int64_t total() const { return total_; }
  int count() const { return count_; }

  // Of the `count` shortest trajectories, as if those of a class of length were alike.
  PolicyWait OfShortest(int count) const {
    PolicyWait shortest;
    for (size_t i = 0; i < lengths_.size() && count > 0; ++i) {
      const Length& length = lengths_[i];
      if (length.count == 0) continue;
      const double part = static_cast<double>(std::min(count, length.count)) / length.count;
      shortest.passes += part * static_cast<double>(length.work);
      shortest.rows = static_cast<double>(length.rows_left) / length.count;
      count -= length.count;
    }
    return shortest;
  }

  // Of trajectories with about `rows_left` left or fewer: their whole class of length counts.
  int64_t UpTo(int rows_left) const {
    int64_t sum = 0;
    for (size_t i = 0; i <= Class(rows_left); ++i) sum += lengths_[i].work;
    return sum;
  }

 private:
  static size_t Class(int rows_left) {
    return static_cast<size_t>(std::bit_width(static_cast<unsigned>(std::max(1, rows_left))) - 1);
  }
  void Change(const PolicyTrajectory& trajectory, int sign) {
    const int64_t work = int64_t{sign} * trajectory.work();
    Length& length = lengths_[Class(trajectory.rows_left)];
    length.count += sign;
    length.rows_left += int64_t{sign} * trajectory.rows_left;
    length.work += work;
    count_ += sign;
    total_ += work;
  }

  struct Length {
    int count = 0;
    int64_t rows_left = 0;
    int64_t work = 0;
  };
  std::array<Length, 32> lengths_ = {};
  int64_t total_ = 0;
  int count_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_BACKLOG_H_
