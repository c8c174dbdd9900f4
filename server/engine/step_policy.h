// The product's rule: classes, then fair shares, then slack, then least work left.
#ifndef DIFFUSIOND_SERVER_ENGINE_STEP_POLICY_H_
#define DIFFUSIOND_SERVER_ENGINE_STEP_POLICY_H_

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "model/sampling/guidance.h"
#include "server/engine/backlog.h"
#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// Each row of a batch is chosen by four questions:
//  1. Class. A row of a higher class goes first. A generation moves up one class for each `ageing`
//     since its admission, so that a lower class is served within a bounded time.
//  2. Tenant. Inside a class, by start-time fair queueing (Goyal, Vin and Cheng 1996): the tenant
//     that has had least, in network rows by weight. A tenant that was away gets no credit for it.
//  3. Deadline, once the tenant's deadlines compete, that is when one has no more slack than all of
//     the tenant's work with deadlines takes: the earliest. Least slack first would be no better
//     while all can be met, and lets all rows share the time until all are late when they cannot.
//  4. Length. Else least work left first, with patience:
//       admitted + patience * rows_left * (rows of the generation in flight + 1), lowest first.
//     A row yields to shorter ones that came later, but for at most `patience` batches for each
//     plan row it has left. A generation's second row in flight counts as twice as long and so on:
//     many images of one request do not push out another's single one. Time is counted in batches,
//     so that rows which wait age alike and keep their order.
//
// A generation that cannot be in time any more, even if it were all that runs, falls out of its
// class: it is stepped when nothing else waits, and ends at its deadline unless the pace picks up.
//
// A batch costs O(rows chosen * log(generations)), however many wait.
class StepPolicy : public SchedulingPolicy {
 public:
  struct Options {
    absl::Duration ageing = absl::Seconds(30);
    // tests/benchmarks/scheduling prints what other values give.
    int patience = 8;
    std::map<std::string, double> tenant_weights = {};  // More than 0; 1 for those not named.
  };

  explicit StepPolicy(Options options) : options_(std::move(options)) {}
  StepPolicy() : StepPolicy(Options()) {}

  void Admit(const PolicyGeneration& generation, absl::Span<const PolicyRow> rows) override;
  std::vector<PolicyChoice> Choose(const Offer& offer) override;
  void PutBack(uint64_t generation, const PolicyRow& row) override;
  void Retire(uint64_t generation, int image_index) override;
  void Remove(uint64_t generation) override;
  int waiting_network_rows() const override { return waiting_network_rows_; }
  double NetworkRowsUntilDone(const PolicyGeneration& generation,
                              absl::Span<const PolicyRow> rows) const override;
  // Lays the tenant's rows with deadlines out, earliest first, on its share of what the workers
  // carry side by side: what Choose will do if nothing else comes. O(those rows).
  bool DeadlinesFit(const PolicyGeneration& generation, absl::Span<const PolicyRow> rows,
                    absl::Time now) const override;
  void SetPace(const Pace& pace) override { pace_ = pace; }

  bool empty() const { return groups_.empty(); }

 private:
  // Within a generation: what has begun before what has not, then least left.
  struct Before {
    bool operator()(const PolicyRow& a, const PolicyRow& b) const {
      return std::tuple(!a.resident, a.rows_left, a.image_index) <
             std::tuple(!b.resident, b.rows_left, b.image_index);
    }
  };

  // Generations whose first waiting row is of one kind, [resident][network_rows - 1]: rows that
  // cannot go now cost nothing to skip.
  static constexpr size_t kKinds = 2 * kMaxNetworkRows;
  static size_t Kind(const PolicyRow& row) {
    return (row.resident ? kMaxNetworkRows : 0) + static_cast<size_t>(row.network_rows - 1);
  }
  struct Line {
    std::set<std::pair<int64_t, uint64_t>> by_key;
    // Those with deadlines.
    std::set<std::pair<absl::Time, uint64_t>> by_deadline;
    std::set<std::pair<absl::Time, uint64_t>> by_latest_start;
  };

  struct Tenant {
    double weight = 1;
    double served = 0;  // Virtual time: network rows had, by weight.
    int generations = 0;
    int standing = 0;                               // Generations in `lines`.
    Backlog backlog;                                // In flight included.
    std::set<std::pair<absl::Time, uint64_t>> due;  // Generations by deadline.
    int64_t due_work = 0;                           // Network rows of theirs.
    std::array<Line, kKinds> lines;
  };

  // One class.
  struct Level {
    std::map<std::string, Tenant> tenants;  // With generations.
    // Tenants whose line of this kind is not empty, least served first.
    std::array<std::set<std::pair<double, std::string_view>>, kKinds> ready;
    std::set<std::pair<absl::Time, uint64_t>> ageing;  // When a generation moves up.
    Backlog backlog;
    double weights = 0;
    double virtual_now = 0;  // Where the last row chosen began.
  };

  struct Group {
    PolicyGeneration info;
    size_t level = 0;
    int64_t admitted_batch = 0;
    absl::Time moves_up;
    int64_t work = 0;  // Network rows left, in flight included.
    std::set<PolicyRow, Before> waiting;
    std::map<int, PolicyRow> in_flight;  // By image.
    // Where it stands in line, if it does.
    size_t kind = 0;
    int64_t key = 0;
    absl::Time latest_start;
    absl::Time hopeless_from;
  };

  struct Pick {
    Level* level = nullptr;
    Tenant* tenant = nullptr;
    uint64_t generation = 0;
  };

  double WeightOf(const std::string& tenant) const;
  // Whether its deadline still counts.
  static bool HasDue(const Group& group);
  // What the group's waiting rows take at least.
  absl::Duration Needed(const Group& group) const;
  void JoinLevel(Group& group);
  void LeaveLevel(Group& group);
  // Puts the group in its tenant's line, by its first waiting row, or takes it out.
  void Enter(Group& group);
  void Leave(Group& group);
  void SetReady(Level& level, std::string_view name, const Tenant& tenant, bool ready);
  void Move(Group& group, size_t level);
  void Age(absl::Time now);
  void GiveUpHope(absl::Time now);
  Pick Best(const Offer& offer);
  uint64_t BestOf(const Level& level, const Tenant& tenant, const Offer& offer) const;
  // What a network row of the tenant takes while all others are served their shares.
  absl::Duration TimeOfRow(double all_weights, double weight) const;
  void Count(Group& group, const PolicyRow& row, int sign);

  const Options options_;
  Pace pace_;
  int64_t batches_ = 0;
  int waiting_network_rows_ = 0;
  std::map<uint64_t, Group> groups_;
  // The classes, then what cannot be in time.
  static constexpr size_t kHopeless = kPriorities;
  std::array<Level, kPriorities + 1> levels_;
  std::set<std::pair<absl::Time, uint64_t>> hopeless_from_;  // Of generations that stand in line.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_STEP_POLICY_H_
