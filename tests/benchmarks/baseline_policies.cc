#include "tests/benchmarks/baseline_policies.h"

#include <algorithm>

namespace diffusiond {

void ArrivalOrderPolicy::Admit(const PolicyGeneration& generation,
                               absl::Span<const PolicyTrajectory> trajectories) {
  Generation& entry = generations_[generation.id];
  entry.info = generation;
  for (const PolicyTrajectory& trajectory : trajectories) {
    entry.waiting[trajectory.image_index] = trajectory;
    waiting_passes_ += trajectory.passes;
    Count(trajectory, 1);
  }
}

void ArrivalOrderPolicy::PutBack(uint64_t generation, const PolicyTrajectory& trajectory) {
  Generation& entry = generations_.at(generation);
  Count(entry.in_flight.at(trajectory.image_index), -1);
  entry.in_flight.erase(trajectory.image_index);
  entry.waiting[trajectory.image_index] = trajectory;
  waiting_passes_ += trajectory.passes;
  Count(trajectory, 1);
}

void ArrivalOrderPolicy::Retire(uint64_t generation, int image_index) {
  Generation& entry = generations_.at(generation);
  Count(entry.in_flight.at(image_index), -1);
  entry.in_flight.erase(image_index);
}

int ArrivalOrderPolicy::passes_at_once() const {
  int passes = waiting_passes_;
  for (const auto& [id, generation] : generations_) {
    for (const auto& [image, trajectory] : generation.in_flight) passes += trajectory.passes;
  }
  return passes;
}

void ArrivalOrderPolicy::Remove(uint64_t generation) {
  const auto found = generations_.find(generation);
  if (found == generations_.end()) return;
  for (const auto& [image, trajectory] : found->second.waiting) {
    waiting_passes_ -= trajectory.passes;
    Count(trajectory, -1);
  }
  for (const auto& [image, trajectory] : found->second.in_flight) Count(trajectory, -1);
  generations_.erase(found);
}

double ArrivalOrderPolicy::PassesUntilDone(const PolicyGeneration&,
                                           absl::Span<const PolicyTrajectory> trajectories) const {
  double work = work_;
  for (const PolicyTrajectory& trajectory : trajectories) work += trajectory.work();
  return work;
}

void ArrivalOrderPolicy::Take(uint64_t generation, Offer& offer,
                              std::vector<PolicyChoice>& chosen) {
  Generation& entry = generations_.at(generation);
  for (auto at = entry.waiting.begin(); at != entry.waiting.end();) {
    const PolicyTrajectory trajectory = at->second;
    if (trajectory.passes > offer.capacity || (!trajectory.resident && offer.new_residents < 1)) {
      ++at;
      continue;
    }
    offer.capacity -= trajectory.passes;
    if (!trajectory.resident) --offer.new_residents;
    waiting_passes_ -= trajectory.passes;
    entry.in_flight[trajectory.image_index] = trajectory;
    at = entry.waiting.erase(at);
    chosen.push_back({generation, trajectory.image_index});
  }
}

std::vector<PolicyChoice> RequestBatchPolicy::Choose(const Offer& offer) {
  if (running_.empty()) {
    int trajectories = 0;
    std::set<uint64_t> together;
    absl::Time oldest = absl::InfiniteFuture();
    for (const auto& [id, generation] : generations()) {
      int wanted = 0;
      for (const auto& [image, trajectory] : generation.waiting) wanted += trajectory.passes;
      if (!together.empty() && trajectories + wanted > offer.capacity) {
        trajectories = offer.capacity;
        break;
      }
      trajectories += wanted;
      together.insert(id);
      oldest = std::min(oldest, generation.info.admitted);
    }
    begins_ = oldest + queue_delay_;
    if (together.empty() || (trajectories < offer.capacity && offer.now < begins_)) return {};
    begins_ = absl::InfiniteFuture();
    running_ = std::move(together);
  }
  Offer left = offer;
  std::vector<PolicyChoice> chosen;
  for (const uint64_t id : running_) Take(id, left, chosen);
  return chosen;
}

void RequestBatchPolicy::Remove(uint64_t generation) {
  running_.erase(generation);
  ArrivalOrderPolicy::Remove(generation);
}

std::vector<PolicyChoice> SerialPolicy::Choose(const Offer& offer) {
  Offer left = offer;
  std::vector<PolicyChoice> chosen;
  if (!generations().empty()) Take(generations().begin()->first, left, chosen);
  return chosen;
}

void LeastServedPolicy::Admit(const PolicyGeneration& generation,
                              absl::Span<const PolicyTrajectory> trajectories) {
  ArrivalOrderPolicy::Admit(generation, trajectories);
  steps_[generation.id] = trajectories[0].rows_left;
  line_.emplace(0, generation.id);
}

std::vector<PolicyChoice> LeastServedPolicy::Choose(const Offer& offer) {
  Offer left = offer;
  std::vector<PolicyChoice> chosen;
  while (left.capacity > 0 && !line_.empty()) {
    const uint64_t id = std::get<1>(*line_.begin());
    line_.erase(line_.begin());
    Take(id, left, chosen);
  }
  return chosen;
}

void LeastServedPolicy::PutBack(uint64_t generation, const PolicyTrajectory& trajectory) {
  ArrivalOrderPolicy::PutBack(generation, trajectory);
  line_.emplace(steps_.at(generation) - trajectory.rows_left, generation);
}

void LeastServedPolicy::Remove(uint64_t generation) {
  for (auto at = line_.begin(); at != line_.end();) {
    at = std::get<1>(*at) == generation ? line_.erase(at) : std::next(at);
  }
  steps_.erase(generation);
  ArrivalOrderPolicy::Remove(generation);
}

}  // namespace diffusiond
