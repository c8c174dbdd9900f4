// What other servers do, as policies of this engine: the same network, machine and step batches.
#ifndef DIFFUSIOND_TESTS_BENCHMARKS_BASELINE_POLICIES_H_
#define DIFFUSIOND_TESTS_BENCHMARKS_BASELINE_POLICIES_H_

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "absl/time/time.h"
#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// The trajectories of generations in order of arrival, whatever the rule on top. Thread-compatible.
class ArrivalOrderPolicy : public SchedulingPolicy {
 public:
  void Admit(const PolicyGeneration& generation,
             absl::Span<const PolicyTrajectory> trajectories) override;
  void PutBack(uint64_t generation, const PolicyTrajectory& trajectory) override;
  void Retire(uint64_t generation, int image_index) override;
  void Remove(uint64_t generation) override;
  int waiting_passes() const override { return waiting_passes_; }
  int passes_at_once() const override;
  // All that was admitted before goes first.
  double PassesUntilDone(const PolicyGeneration& generation,
                         absl::Span<const PolicyTrajectory> trajectories) const override;

 protected:
  struct Generation {
    PolicyGeneration info;
    std::map<int, PolicyTrajectory> waiting;
    std::map<int, PolicyTrajectory> in_flight;
  };
  const std::map<uint64_t, Generation>& generations() const { return generations_; }

  // Moves trajectories of these generations that fit into `chosen`, and takes what they need from
  // `offer`.
  void Take(uint64_t generation, Offer& offer, std::vector<PolicyChoice>& chosen);

 private:
  void Count(const PolicyTrajectory& trajectory, int sign) {
    work_ += double(sign) * trajectory.work();
  }

  std::map<uint64_t, Generation> generations_;  // Ids grow with time.
  int waiting_passes_ = 0;
  double work_ = 0;
};

// Whole requests are put together and run to their end, and what is finished leaves a hole:
// Triton's and TF Serving's dynamic batching. A batch begins when it is full or its oldest request
// has waited `queue_delay`.
class RequestBatchPolicy : public ArrivalOrderPolicy {
 public:
  explicit RequestBatchPolicy(absl::Duration queue_delay) : queue_delay_(queue_delay) {}
  std::vector<PolicyChoice> Choose(const Offer& offer) override;
  void Remove(uint64_t generation) override;
  absl::Time NextDecision() const override { return begins_; }

 private:
  const absl::Duration queue_delay_;
  std::set<uint64_t> running_;
  absl::Time begins_ = absl::InfiniteFuture();  // The batch that is being put together.
};

// One request at a time, to its end.
class SerialPolicy : public ArrivalOrderPolicy {
 public:
  std::vector<PolicyChoice> Choose(const Offer& offer) override;
};

// Step batching, the trajectories that have had fewest steps first.
class LeastServedPolicy : public ArrivalOrderPolicy {
 public:
  void Admit(const PolicyGeneration& generation,
             absl::Span<const PolicyTrajectory> trajectories) override;
  std::vector<PolicyChoice> Choose(const Offer& offer) override;
  void PutBack(uint64_t generation, const PolicyTrajectory& trajectory) override;
  void Remove(uint64_t generation) override;

 private:
  std::map<uint64_t, int> steps_;             // Of the whole plan.
  std::set<std::tuple<int, uint64_t>> line_;  // Steps had, generation.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_BENCHMARKS_BASELINE_POLICIES_H_
