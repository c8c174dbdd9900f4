#include "tests/benchmarks/baseline_policies.h"

#include <algorithm>

namespace diffusiond {

void ArrivalOrderPolicy::Admit(const PolicyGeneration& generation,
                               absl::Span<const PolicyRow> rows) {
  Generation& entry = generations_[generation.id];
  entry.info = generation;
  for (const PolicyRow& row : rows) {
    entry.waiting[row.image_index] = row;
    waiting_network_rows_ += row.network_rows;
    Count(row, 1);
  }
}

void ArrivalOrderPolicy::PutBack(uint64_t generation, const PolicyRow& row) {
  Generation& entry = generations_.at(generation);
  Count(entry.in_flight.at(row.image_index), -1);
  entry.in_flight.erase(row.image_index);
  entry.waiting[row.image_index] = row;
  waiting_network_rows_ += row.network_rows;
  Count(row, 1);
}

void ArrivalOrderPolicy::Retire(uint64_t generation, int image_index) {
  Generation& entry = generations_.at(generation);
  Count(entry.in_flight.at(image_index), -1);
  entry.in_flight.erase(image_index);
}

void ArrivalOrderPolicy::Remove(uint64_t generation) {
  const auto found = generations_.find(generation);
  if (found == generations_.end()) return;
  for (const auto& [image, row] : found->second.waiting) {
    waiting_network_rows_ -= row.network_rows;
    Count(row, -1);
  }
  for (const auto& [image, row] : found->second.in_flight) Count(row, -1);
  generations_.erase(found);
}

double ArrivalOrderPolicy::NetworkRowsUntilDone(const PolicyGeneration&,
                                                absl::Span<const PolicyRow> rows) const {
  double work = work_;
  for (const PolicyRow& row : rows) work += row.work();
  return work;
}

void ArrivalOrderPolicy::Take(uint64_t generation, Offer& offer,
                              std::vector<PolicyChoice>& chosen) {
  Generation& entry = generations_.at(generation);
  for (auto at = entry.waiting.begin(); at != entry.waiting.end();) {
    const PolicyRow row = at->second;
    if (row.network_rows > offer.capacity || (!row.resident && offer.new_residents < 1)) {
      ++at;
      continue;
    }
    offer.capacity -= row.network_rows;
    if (!row.resident) --offer.new_residents;
    waiting_network_rows_ -= row.network_rows;
    entry.in_flight[row.image_index] = row;
    at = entry.waiting.erase(at);
    chosen.push_back({generation, row.image_index});
  }
}

std::vector<PolicyChoice> RequestBatchPolicy::Choose(const Offer& offer) {
  if (running_.empty()) {
    int rows = 0;
    std::set<uint64_t> together;
    absl::Time oldest = absl::InfiniteFuture();
    for (const auto& [id, generation] : generations()) {
      int wanted = 0;
      for (const auto& [image, row] : generation.waiting) wanted += row.network_rows;
      if (!together.empty() && rows + wanted > offer.capacity) {
        rows = offer.capacity;
        break;
      }
      rows += wanted;
      together.insert(id);
      oldest = std::min(oldest, generation.info.admitted);
    }
    begins_ = oldest + queue_delay_;
    if (together.empty() || (rows < offer.capacity && offer.now < begins_)) return {};
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
                              absl::Span<const PolicyRow> rows) {
  ArrivalOrderPolicy::Admit(generation, rows);
  steps_[generation.id] = rows[0].rows_left;
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

void LeastServedPolicy::PutBack(uint64_t generation, const PolicyRow& row) {
  ArrivalOrderPolicy::PutBack(generation, row);
  line_.emplace(steps_.at(generation) - row.rows_left, generation);
}

void LeastServedPolicy::Remove(uint64_t generation) {
  for (auto at = line_.begin(); at != line_.end();) {
    at = std::get<1>(*at) == generation ? line_.erase(at) : std::next(at);
  }
  steps_.erase(generation);
  ArrivalOrderPolicy::Remove(generation);
}

}  // namespace diffusiond
