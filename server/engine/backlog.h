// How much work is left, and how much of it in trajectories shorter than a given one.
#ifndef DIFFUSIOND_SERVER_ENGINE_BACKLOG_H_
#define DIFFUSIOND_SERVER_ENGINE_BACKLOG_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// Sums of network rows in classes of length that double. Every operation costs the same, however
// many rows there are. Thread-compatible.
class Backlog {
 public:
  void Add(const PolicyRow& row) { Change(row, 1); }
  void Subtract(const PolicyRow& row) { Change(row, -1); }

  int64_t total() const { return total_; }

  // Of rows with about `rows_left` left or fewer: their whole class of length counts.
  int64_t UpTo(int rows_left) const {
    int64_t sum = 0;
    for (size_t i = 0; i <= Class(rows_left); ++i) sum += by_length_[i];
    return sum;
  }

 private:
  static size_t Class(int rows_left) {
    return static_cast<size_t>(std::bit_width(static_cast<unsigned>(std::max(1, rows_left))) - 1);
  }
  void Change(const PolicyRow& row, int sign) {
    const int64_t work = int64_t{sign} * row.work();
    by_length_[Class(row.rows_left)] += work;
    total_ += work;
  }

  std::array<int64_t, 32> by_length_ = {};
  int64_t total_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_BACKLOG_H_
