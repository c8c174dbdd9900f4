// Who is served how much: the scheduling rule's promises, held against what workers took.
#ifndef DIFFUSIOND_TESTS_SIMULATION_SHARES_H_
#define DIFFUSIOND_TESTS_SIMULATION_SHARES_H_

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/engine/step_executor.h"
#include "tests/simulation/order.h"
#include "tests/simulation/world.h"

namespace diffusiond {

// Holds only in worlds in which nothing but the rule decides who is next: every row is one network
// pass, whoever waits may begin, nothing fails, and no deadline competes. There, while two that
// share wait with more than all workers could take, what they had had differs by no more than one
// batch, by their weights (Goyal, Vin and Cheng 1996, theorem 1); and no lower class is served. Of
// one tenant's requests none lets another go first that came more than `patience` batches later for
// each row that it has left; with images in flight its rows count once more for each of those.
class Shares {
 public:
  explicit Shares(const World& world);

  // A worker has taken these. What is broken by that; "": nothing.
  std::string Take(const std::string& model, int capacity, absl::Span<const StepTask> tasks,
                   const std::deque<Order>& orders, absl::Time now);
  // Time moves on. What is broken by what was taken since it did so last; "": nothing.
  std::string Quiet(const std::deque<Order>& orders, absl::Time now);
  // Of a model, that were taken.
  int64_t batches(const std::string& model) const;

  // Requests that went first before one that had come earlier, of the same tenant.
  int yields() const { return yields_; }
  // Spans over which two waited side by side for at least ten batches.
  int long_spans() const { return long_spans_; }

 private:
  // One of those that share something: waits, and has had.
  struct Member {
    int waits = 0, takes = 0;
    double weight = 1;
  };
  using Members = std::map<int, Member>;
  struct Span {
    double first = 0, second = 0;  // Passes since both wait, by weight.
    int batches = 0;
    int64_t last = 0;  // Of the model's batches, that it was seen in.
  };

  int ClassOf(const Order& order, absl::Time now) const;
  // `batch`: the model's that was taken now.
  std::string CheckPairs(const std::string& what, int64_t batch, int capacity,
                         const Members& members);
  std::string CheckPatience(const Order& waits, const Order& taken, absl::Time now);
  void Count(const Order& order, int waits, int takes, absl::Time now);

  const World& world_;
  bool holds_ = true;
  int deep_ = 0;  // Of the batch that is looked at: who waits with so much cannot be exhausted.
  std::map<int, Members> addresses_;                // By class.
  std::map<std::pair<int, int>, Members> tenants_;  // By class and address.
  Members classes_, sides_;
  std::map<std::tuple<std::string, int, int>, Span> spans_;
  int long_spans_ = 0;
  std::map<std::string, int64_t> batches_;
  std::set<uint64_t> taken_;  // Orders, since time moved on.
  int yields_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_SHARES_H_
