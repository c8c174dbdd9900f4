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

#include "server/engine/backlog.h"
#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// Each row of a batch is chosen by four questions:
//  1. Class. A row of a higher class goes first. A generation moves up one class for each `ageing`
//     since its admission, so that a lower class is served within a bounded time.
//  2. Tenant. Inside a class, by start-time fair queueing (Goyal, Vin and Cheng 1996): the tenant
//     that has had least, in network rows by weight. A tenant that was away gets no credit for it.
//  3. Slack. Of the tenant's rows with deadlines the one with least slack, if that is no more than
//     all the tenant's work with deadlines takes.
//  4. Length. Else least work left first, with patience:
//       admitted + patience * rows_left * (rows of the generation in flight + 1), lowest first.
//     A row yields to shorter ones that came later, but for at most `patience` batches for each
//     plan row it has left. A generation's second row in flight counts as twice as long and so on:
//     many images of one request do not push out another's single one. Time is counted in batches,
//     so that rows which wait age alike and keep their order.
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
  // Earliest deadline first is feasible if any order is (Liu and Layland 1973): so the work that is
  // due by each of the tenant's deadlines is held against the tenant's share of the time until
  // then.
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
  static constexpr size_t kKinds = 4;
  static size_t Kind(const PolicyRow& row) {
    return (row.resident ? 2 : 0) + static_cast<size_t>(row.network_rows - 1);
  }
  struct Line {
    std::set<std::pair<int64_t, uint64_t>> by_key;
    std::set<std::pair<absl::Time, uint64_t>> by_latest_start;  // Those with deadlines.
  };

  struct Tenant {
    double weight = 1;
    double served = 0;  // Virtual time: network rows had, by weight.
    int generations = 0;
    int standing = 0;                   // Generations in `lines`.
    Backlog backlog;                    // In flight included.
    std::map<absl::Time, int64_t> due;  // Of that, by deadline.
    int64_t due_total = 0;
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
  };

  struct Pick {
    Level* level = nullptr;
    Tenant* tenant = nullptr;
    uint64_t generation = 0;
  };

  double WeightOf(const std::string& tenant) const;
  absl::Time LatestStart(const Group& group) const;
  void JoinLevel(Group& group);
  void LeaveLevel(Group& group);
  // Puts the group in its tenant's line, by its first waiting row, or takes it out.
  void Enter(Group& group);
  void Leave(Group& group);
  void SetReady(Level& level, std::string_view name, const Tenant& tenant, bool ready);
  void Age(absl::Time now);
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
  std::array<Level, kPriorities> levels_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_STEP_POLICY_H_
