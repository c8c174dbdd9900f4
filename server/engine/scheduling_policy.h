// Who is stepped next: what any rule is told and asked, as plain data.
#ifndef DIFFUSIOND_SERVER_ENGINE_SCHEDULING_POLICY_H_
#define DIFFUSIOND_SERVER_ENGINE_SCHEDULING_POLICY_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace diffusiond {

// Classes of work; a lower number goes first.
enum class Priority { kHigh, kNormal, kLow };
inline constexpr int kPriorities = 3;

// One trajectory that waits for its next step.
struct PolicyTrajectory {
  int image_index = 0;    // Names the trajectory within its generation.
  int rows_left = 1;      // Plan rows to run, the next one included.
  int passes = 1;         // Of the next one: 1, more if guided.
  bool resident = false;  // Has begun, so it is counted against the limit on residents.
  int extra_left = 0;     // Network passes of the plan rows to run, beyond one each.

  int work() const { return rows_left + extra_left; }  // Network passes.
};

// What the order may depend on, fixed for a generation's life.
struct PolicyGeneration {
  uint64_t id = 0;
  std::string address = {};  // From where; has a share, whatever tenants it names.
  std::string tenant = {};   // On whose behalf; has a share of the address's.
  Priority priority = Priority::kNormal;
  absl::Time admitted;
  absl::Time deadline = absl::InfiniteFuture();
};

// Those who hold places in the queue together.
struct Holder {
  enum class Whose { kAll, kHigh, kAddress, kTenant };
  Whose whose = Whose::kAll;
  std::string address = {};  // Of kAddress and kTenant.
  std::string tenant = {};   // Of kTenant.
};

// How long something takes: whichever is longer.
struct PolicyWait {
  double passes = 0;  // To be evaluated until then.
  double rows = 0;    // Plan rows of one trajectory, which follow each other.
};

struct PolicyChoice {
  uint64_t generation = 0;
  int image_index = 0;
  friend bool operator==(const PolicyChoice&, const PolicyChoice&) = default;
};

// How fast work goes, as measured; zero: not known yet.
struct Pace {
  static constexpr int kLoads = 16;

  // One step batch, which is what one plan row of one trajectory takes, while all workers together
  // have up to 2^i network passes to do at once.
  std::array<absl::Duration, kLoads> steps = {};
  absl::Duration pass = absl::ZeroDuration();  // Per network pass when all workers are full.
  int side_by_side = 1;                        // Network passes that all workers carry in one step.

  // All steps are alike.
  static Pace Even(absl::Duration step, absl::Duration pass, int side_by_side) {
    Pace pace = {.pass = pass, .side_by_side = side_by_side};
    pace.steps.fill(step);
    return pace;
  }

  // The class of load of 1; 2; 3 and 4; 5 to 8 ...
  static size_t LoadOf(int64_t passes) {
    const auto load = std::bit_width(static_cast<uint64_t>(std::max<int64_t>(1, passes) - 1));
    return std::min<size_t>(kLoads - 1, static_cast<size_t>(load));
  }
  absl::Duration StepOf(int64_t passes) const { return steps[LoadOf(passes)]; }
};

// The trajectories of one model that wait for their next step, and the rule that picks the next
// batch: no threads, no clock, no tensors. Implementations are thread-compatible.
class SchedulingPolicy {
 public:
  // What a worker offers.
  struct Offer {
    absl::Time now;
    int capacity = 1;       // Network passes.
    int new_residents = 0;  // Trajectories that have not begun and may.
  };

  virtual ~SchedulingPolicy() = default;

  // Takes a generation that begins. Its id must be new here.
  virtual void Admit(const PolicyGeneration& generation,
                     absl::Span<const PolicyTrajectory> trajectories) = 0;

  // Trajectories that fit the offer, in order of choice. They are in flight until PutBack or
  // Retire.
  virtual std::vector<PolicyChoice> Choose(const Offer& offer) = 0;

  // A trajectory in flight waits for its next step.
  virtual void PutBack(uint64_t generation, const PolicyTrajectory& trajectory) = 0;

  // A trajectory in flight is finished.
  virtual void Retire(uint64_t generation, int image_index) = 0;

  // Forgets a generation, whatever its trajectories are doing.
  virtual void Remove(uint64_t generation) = 0;

  // Network passes of all trajectories that wait.
  virtual int waiting_passes() const = 0;

  // Those and what is in flight: what there is to be done at once.
  virtual int passes_at_once() const = 0;

  // Network passes to be evaluated until a generation like this would be finished, its own
  // included, if nothing else came.
  virtual double PassesUntilDone(const PolicyGeneration& generation,
                                 absl::Span<const PolicyTrajectory> trajectories) const = 0;

  // Until `part` (0 .. 1, at least one image) of what the holder has here is finished, if nothing
  // else came. Nothing: it has nothing.
  virtual std::optional<PolicyWait> UntilFree(const Holder& /*holder*/, double /*part*/) const {
    return std::nullopt;
  }

  // Whether every deadline, this generation's included, could still be met if it were admitted.
  virtual bool DeadlinesFit(const PolicyGeneration& /*generation*/,
                            absl::Span<const PolicyTrajectory> /*trajectories*/,
                            absl::Time /*now*/) const {
    return true;
  }

  virtual void SetPace(const Pace& /*pace*/) {}

  // When Choose may find something though nothing else happens.
  virtual absl::Time NextDecision() const { return absl::InfiniteFuture(); }
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_SCHEDULING_POLICY_H_
