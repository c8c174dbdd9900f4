// Who is stepped next: the rule alone, over plain data.
#ifndef DIFFUSIOND_SERVER_ENGINE_POLICY_H_
#define DIFFUSIOND_SERVER_ENGINE_POLICY_H_

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "absl/types/span.h"

namespace diffusiond {

// The trajectories of one model that wait for their next step, and the rule that picks the next
// batch: no threads, no clock, no tensors. Thread-compatible.
//
// The rule is "least work left first", bent twice:
//  - Ageing. A row yields to rows that were admitted later and are shorter, but for at most
//    kPatience batches for each plan row it has left; then nothing new passes it. So nothing
//    starves. Time is counted in batches chosen, so all waiting rows age alike and their order
//    never changes while they wait: a batch costs O(rows chosen * log(generations)).
//  - Fairness between generations. A generation's second row in flight counts as twice as long, its
//    third as three times, and so on: many images in one request do not push out another's single
//    image, and still fill the capacity that nobody else wants.
// In one number, lowest first:
//   admitted + kPatience * rows_left * (rows of the generation in flight + 1)
class StepPolicy {
 public:
  static constexpr int64_t kPatience = 4;

  // One trajectory that waits for its next step.
  struct Row {
    int image_index = 0;    // Names the trajectory within its generation.
    int rows_left = 1;      // Plan rows to run, the next one included.
    int network_rows = 1;   // 1, or 2 if guided.
    bool resident = false;  // Has begun, so it is counted against the limit on residents.
  };
  struct Choice {
    uint64_t generation = 0;
    int image_index = 0;
    friend bool operator==(const Choice&, const Choice&) = default;
  };

  // Takes a generation that begins. `generation` must be new here.
  void Admit(uint64_t generation, absl::Span<const Row> rows);

  // Rows whose network rows fit in `capacity`, in order of choice; at most `new_residents` of them
  // have not begun. They are in flight until PutBack or Retire. A guided row that no longer fits is
  // passed over, and comes first in the next batch.
  std::vector<Choice> Choose(int capacity, int new_residents);

  // A row in flight waits for its next step.
  void PutBack(uint64_t generation, const Row& row);

  // A row in flight is finished.
  void Retire(uint64_t generation);

  // Forgets a generation, whatever its rows are doing.
  void Remove(uint64_t generation);

  bool empty() const { return groups_.empty(); }

  // Network rows of all rows that wait.
  int waiting_network_rows() const { return waiting_network_rows_; }

 private:
  // Within a generation: what has begun before what has not, then least left.
  struct Before {
    bool operator()(const Row& a, const Row& b) const {
      return std::tuple(!a.resident, a.rows_left, a.image_index) <
             std::tuple(!b.resident, b.rows_left, b.image_index);
    }
  };
  struct Group {
    int64_t admitted = 0;
    int in_flight = 0;
    std::set<Row, Before> rows;
  };
  using Groups = std::map<uint64_t, Group>;
  // A generation's place in line, by its first row. Ties: older identifiers first.
  using Line = std::set<std::pair<int64_t, uint64_t>>;

  static int64_t Key(const Group& group);
  Line& LineOf(const Group& group);
  void Enter(uint64_t generation, const Group& group);
  void Leave(uint64_t generation, const Group& group);
  Line* BestLine(int capacity, int new_residents);

  int64_t batches_ = 0;
  int waiting_network_rows_ = 0;
  Groups groups_;
  // Generations with waiting rows, one line for each [first row is resident][its network rows - 1],
  // so that rows which cannot go now cost nothing to skip.
  std::array<std::array<Line, 2>, 2> lines_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_POLICY_H_
