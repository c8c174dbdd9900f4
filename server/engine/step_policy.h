// The product's rule: classes, then fair shares, then slack, then least work left.
#ifndef DIFFUSIOND_SERVER_ENGINE_STEP_POLICY_H_
#define DIFFUSIOND_SERVER_ENGINE_STEP_POLICY_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "model/sampling/guidance.h"
#include "server/engine/backlog.h"
#include "server/engine/fair_queue.h"
#include "server/engine/scheduling_policy.h"
#include "server/engine/side_by_side.h"

namespace diffusiond {

// Each trajectory of a batch is chosen by five questions:
//  1. Class. A trajectory of a higher class goes first, but HIGH has no more than `high_share` of
//  the trajectories
//     while others wait: to say that one is in a hurry costs nothing. A generation moves up one
//     class for each `ageing` since its admission, so that a lower class is served within a bounded
//     time.
//  2. Address. Inside a class, the one that has had least (FairQueue): names are free, so what one
//     address says of its tenants moves nobody else. It weighs as much as its heaviest tenant.
//  3. Tenant. Of the address, the one that has had least, by weight.
//  4. Deadline, once the tenant's deadlines compete, that is when one has no more slack than all of
//     the tenant's work with deadlines takes: the earliest. Least slack first would be no better
//     while all can be met, and lets all trajectories share the time until all are late when they
//     cannot.
//  5. Length. Else least work left first, with patience:
//       admitted + patience * rows_left * (trajectories of the generation in flight + 1), lowest
//       first.
//     A trajectory yields to shorter ones that came later, but for at most `patience` batches for
//     each plan row it has left. A generation's second trajectory in flight counts as twice as long
//     and so on: many images of one request do not push out another's single one. Time is counted
//     in batches, so that trajectories which wait age alike and keep their order.
//
// Residents' places are shared by address as places in the queue are (QueuePlaces): one that names
// many tenants cannot begin so many trajectories that another finds no place. Up to what fills the
// machine everybody may begin as long as there is any.
//
// A generation that cannot be in time any more, even if it were in every batch, falls out of its
// class: it is stepped when nothing else waits, and ends at its deadline. Should the pace pick up
// so that it can, it comes back: each batch looks at a few.
//
// A batch costs O(trajectories chosen * log(generations)), however many wait.
class StepPolicy : public SchedulingPolicy {
 public:
  struct Options {
    absl::Duration ageing = absl::Seconds(30);
    // tests/benchmarks/scheduling prints what other values give.
    int patience = 8;
    double high_share = 0.5;  // Of the trajectories, while other classes wait: more than 0; 1: all.
    std::map<std::string, double> tenant_weights = {};  // More than 0; 1 for those not named.
    // Asked for those that are not in it, each time that one begins to wait: weights may change.
    // Thread-safe, must not block; unset, or absent: 1.
    std::function<std::optional<double>(const std::string& tenant)> weight_of = nullptr;
  };

  explicit StepPolicy(Options options);
  StepPolicy() : StepPolicy(Options()) {}

  void Admit(const PolicyGeneration& generation,
             absl::Span<const PolicyTrajectory> trajectories) override;
  std::vector<PolicyChoice> Choose(const Offer& offer) override;
  void PutBack(uint64_t generation, const PolicyTrajectory& trajectory) override;
  void Retire(uint64_t generation, int image_index) override;
  void Remove(uint64_t generation) override;
  int waiting_passes() const override { return waiting_passes_; }
  int passes_at_once() const override { return waiting_passes_ + passes_in_flight_; }
  // Of which something is remembered, once in each class: those with generations.
  size_t known_tenants() const;
  double PassesUntilDone(const PolicyGeneration& generation,
                         absl::Span<const PolicyTrajectory> trajectories) const override;
  std::optional<PolicyWait> UntilFree(const Holder& holder, double part) const override;
  // While all there is goes side by side: whether steps of that many are short enough. Else lays
  // the tenant's trajectories with deadlines out, earliest first, on its share of what the workers
  // carry: what Choose will do if nothing else comes. O(those trajectories).
  bool DeadlinesFit(const PolicyGeneration& generation,
                    absl::Span<const PolicyTrajectory> trajectories, absl::Time now) const override;
  void SetPace(const Pace& pace) override { pace_ = pace; }

  bool empty() const { return groups_.empty(); }

 private:
  // Within a generation: what has begun before what has not, then least left.
  struct Before {
    bool operator()(const PolicyTrajectory& a, const PolicyTrajectory& b) const {
      return std::tuple(!a.resident, a.rows_left, a.image_index) <
             std::tuple(!b.resident, b.rows_left, b.image_index);
    }
  };

  // What is planned for a deadline is this much longer than what was measured: machines and mixes
  // vary, and a trajectory that comes late was computed for nothing.
  static constexpr double kDeadlineMargin = 1.25;

  // Kinds of trajectories, [resident, not][passes - 1]: trajectories that cannot go now cost
  // nothing to skip.
  static constexpr size_t kKinds = 2 * kMaxPasses;
  static size_t Kind(const PolicyTrajectory& trajectory) {
    return (trajectory.resident ? 0 : kMaxPasses) + static_cast<size_t>(trajectory.passes - 1);
  }
  // Generations whose first waiting trajectory is of one kind.
  struct Queue {
    std::set<std::pair<int64_t, uint64_t>> by_key;
    // Those with deadlines.
    std::set<std::pair<absl::Time, uint64_t>> by_deadline;
    std::set<std::pair<absl::Time, uint64_t>> by_latest_start;
  };

  struct Tenant {
    FairShare share;
    int generations = 0;
    Backlog backlog;                                // In flight included.
    std::set<std::pair<absl::Time, uint64_t>> due;  // Generations by deadline.
    int64_t due_work = 0;                           // Network passes of theirs.
    std::array<Queue, kKinds> queues;
  };

  struct Address {
    FairShare share;
    std::map<std::string, Tenant> tenants;  // With generations.
    FairQueue<Tenant> queue;
    std::multiset<double> weights;  // Of the tenants.
    double all_weights = 0;
    int begun = 0;  // Trajectories that hold a resident's place.
    Backlog backlog;
  };

  // One class.
  struct Level {
    std::map<std::string, Address> addresses;  // With generations.
    FairQueue<Address> queue;
    double all_weights = 0;
    std::set<std::pair<absl::Time, uint64_t>> ageing;  // When a generation moves up.
    Backlog backlog;
  };

  // Class HIGH, and all others that have hope.
  struct Side {
    FairShare share;
  };

  struct Group {
    PolicyGeneration info;
    size_t level = 0;
    size_t level_in_hope = 0;    // While it is infeasible: where it was.
    Address* address = nullptr;  // In that level.
    Tenant* tenant = nullptr;
    int64_t admitted_batch = 0;
    absl::Time moves_up;
    int64_t work = 0;  // Network passes left, in flight included.
    std::set<PolicyTrajectory, Before> waiting;
    std::map<int, PolicyTrajectory> in_flight;  // By image.
    // Where it stands in its queue, if it does.
    size_t kind = 0;
    int64_t key = 0;
    absl::Time latest_start;
    absl::Time infeasible_from;
  };

  // What an address and a tenant of a class get of it, and have there.
  struct Part {
    double of_class = 1;    // The address's.
    double of_address = 1;  // The tenant's.
    const Address* address = nullptr;
    const Tenant* tenant = nullptr;
  };
  // Work of other classes.
  struct Rivals {
    double before = 0;  // Goes first.
    double beside = 0;  // Goes at the same time while there is any, and leaves `share`.
    double share = 1;
  };

  double WeightOf(const std::string& tenant) const;
  // Whether its deadline still counts.
  static bool HasDue(const Group& group);
  // What the group's waiting trajectories take at least.
  absl::Duration Needed(const Group& group) const;
  void JoinLevel(Group& group);
  void LeaveLevel(Group& group);
  void JoinTenant(Group& group);
  // Puts the group in its tenant's queue, by its first waiting trajectory, or takes it out.
  void Enter(Group& group);
  void Leave(Group& group);
  // Tells the queues what waits, where the group is.
  void Refresh(const Group& group);
  void Weigh(Level& level, Address& address);
  void Move(Group& group, size_t level);
  void Age(absl::Time now);
  // Whether so much of what it needs is left before its deadline.
  bool IsInTime(const Group& group, double part, absl::Time now) const;
  void DemoteInfeasible(absl::Time now);
  void PromoteFeasible(absl::Time now);
  // Whether an address that has begun so many trajectories may begin one more.
  bool MayBegin(int begun, int free) const;
  // Kinds of trajectories that there is room for, as the queue of a class's addresses sees them.
  WorkKinds Fitting(const Offer& offer) const;
  // Whose turn it is: null if nobody's.
  Group* Best(const Offer& offer);
  uint64_t BestOf(const Level& level, const Address& address, const Tenant& tenant, WorkKinds kinds,
                  absl::Time now) const;
  void Serve(const Group& group, const PolicyTrajectory& trajectory);
  void Count(Group& group, const PolicyTrajectory& trajectory, int sign);

  // In step_prediction.cc.
  Part PartOf(const Level& level, const std::string& address, const std::string& tenant) const;
  Rivals RivalsOf(size_t level) const;
  // Network passes until `own` of a tenant's are done, those included, if nothing else came.
  double PassesUntil(double own, size_t level, const Part& part, Holder::Whose whose) const;
  const Backlog* BacklogOf(size_t level, const Part& part, Holder::Whose whose) const;
  bool FitIn(SideBySide layout, const Tenant* tenant, const PolicyGeneration& generation,
             absl::Span<const PolicyTrajectory> trajectories) const;
  bool FitSideBySide(const PolicyGeneration& generation,
                     absl::Span<const PolicyTrajectory> trajectories, int64_t passes,
                     absl::Time now) const;

  const Options options_;
  Pace pace_;
  int64_t batches_ = 0;
  int waiting_passes_ = 0, passes_in_flight_ = 0;
  std::map<uint64_t, Group> groups_;
  // The classes, then what cannot be in time.
  static constexpr size_t kInfeasible = kPriorities;
  std::array<Level, kPriorities + 1> levels_;
  Side high_, others_;
  FairQueue<Side> sides_;
  std::set<std::pair<absl::Time, uint64_t>> infeasible_from_;  // Of generations in a queue.
  std::set<uint64_t> infeasible_;
  uint64_t looked_at_ = 0;  // Of those.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_STEP_POLICY_H_
