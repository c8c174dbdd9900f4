#include "server/engine/step_policy.h"

#include <algorithm>
#include <functional>
#include <optional>

namespace diffusiond {
namespace {

// What is planned for a deadline is this much longer than what was measured: machines and mixes
// vary, and a row that comes late was computed for nothing.
constexpr double kDeadlineMargin = 1.25;
// A generation is hopeless when not even this part of what it needs is left.
constexpr double kHopelessPart = 0.9;

// Whether a row of this kind can take up the offer.
bool Fits(size_t kind, const SchedulingPolicy::Offer& offer) {
  const bool resident = kind >= kMaxNetworkRows;
  const int network_rows = static_cast<int>(kind % kMaxNetworkRows) + 1;
  return network_rows <= offer.capacity && (resident || offer.new_residents > 0);
}

// Rows laid out one after the other on the places that a share of the workers' capacity has, each
// where room is first.
class Layout {
 public:
  Layout(absl::Time begin, double share, const Pace& pace) {
    const double places = share * pace.side_by_side;
    free_from_.assign(static_cast<size_t>(std::max(1.0, places)), begin);
    // Whole places that together are as fast as the share.
    const double slower = static_cast<double>(free_from_.size()) / places;
    step_ = kDeadlineMargin * slower * pace.side_by_side * pace.network_row;
  }

  // When all of them are done.
  template <typename Rows>
  absl::Time Place(const Rows& rows) {
    absl::Time end = absl::InfinitePast();
    for (const PolicyRow& row : rows) end = std::max(end, PlaceOne(row));
    return end;
  }

 private:
  absl::Time PlaceOne(const PolicyRow& row) {
    const auto later = std::greater<absl::Time>();
    // A step's network rows run side by side where there are places enough.
    const int at_once = 1 + (row.extra_left + row.rows_left - 1) / std::max(1, row.rows_left);
    const int width = std::min(at_once, static_cast<int>(free_from_.size()));
    const int turns = width == at_once ? row.rows_left : (row.work() + width - 1) / width;
    absl::Time begin = absl::InfinitePast();
    for (int i = 0; i < width; ++i) {
      std::pop_heap(free_from_.begin(), free_from_.end() - i, later);
      begin = std::max(begin, *(free_from_.end() - 1 - i));
    }
    const absl::Time end = begin + turns * step_;
    for (int i = width; i > 0; --i) {
      *(free_from_.end() - i) = end;
      std::push_heap(free_from_.begin(), free_from_.end() - i + 1, later);
    }
    return end;
  }

  std::vector<absl::Time> free_from_;  // A heap, the first free at its top.
  absl::Duration step_;
};

}  // namespace

bool StepPolicy::HasDue(const Group& group) {
  return group.info.deadline != absl::InfiniteFuture() && group.level != kHopeless;
}

double StepPolicy::WeightOf(const std::string& tenant) const {
  const auto found = options_.tenant_weights.find(tenant);
  return found == options_.tenant_weights.end() ? 1.0 : found->second;
}

absl::Duration StepPolicy::Needed(const Group& group) const {
  // Of those that wait the last one has most left: what has not begun has its whole plan to run.
  const int longest = group.waiting.rbegin()->rows_left;
  return std::max(longest * pace_.step, static_cast<double>(group.work) * pace_.network_row);
}

absl::Duration StepPolicy::TimeOfRow(double all_weights, double weight) const {
  return kDeadlineMargin * (all_weights / weight) * pace_.network_row;
}

void StepPolicy::Count(Group& group, const PolicyRow& row, int sign) {
  Level& level = levels_[group.level];
  Tenant& tenant = level.tenants.at(group.info.tenant);
  for (Backlog* backlog : {&level.backlog, &tenant.backlog}) {
    sign > 0 ? backlog->Add(row) : backlog->Subtract(row);
  }
  const int64_t work = int64_t{sign} * row.work();
  group.work += work;
  if (HasDue(group)) tenant.due_work += work;
}

void StepPolicy::JoinLevel(Group& group) {
  Level& level = levels_[group.level];
  const auto [found, is_new] = level.tenants.try_emplace(group.info.tenant);
  Tenant& tenant = found->second;
  if (is_new) {
    tenant.weight = WeightOf(group.info.tenant);
    tenant.served = level.virtual_now;
    level.weights += tenant.weight;
  }
  ++tenant.generations;
  if (HasDue(group)) tenant.due.emplace(group.info.deadline, group.info.id);
  for (const PolicyRow& row : group.waiting) Count(group, row, 1);
  for (const auto& [image, row] : group.in_flight) Count(group, row, 1);
  if (group.level > 0 && group.level != kHopeless) {
    level.ageing.emplace(group.moves_up, group.info.id);
  }
  Enter(group);
}

void StepPolicy::LeaveLevel(Group& group) {
  Level& level = levels_[group.level];
  Leave(group);
  for (const PolicyRow& row : group.waiting) Count(group, row, -1);
  for (const auto& [image, row] : group.in_flight) Count(group, row, -1);
  level.ageing.erase({group.moves_up, group.info.id});
  const auto tenant = level.tenants.find(group.info.tenant);
  tenant->second.due.erase({group.info.deadline, group.info.id});
  if (--tenant->second.generations > 0) return;
  level.weights -= tenant->second.weight;
  level.tenants.erase(tenant);
}

void StepPolicy::SetReady(Level& level, std::string_view name, const Tenant& tenant, bool ready) {
  for (size_t kind = 0; kind < kKinds; ++kind) {
    if (tenant.lines[kind].by_key.empty()) continue;
    if (ready) {
      level.ready[kind].emplace(tenant.served, name);
    } else {
      level.ready[kind].erase({tenant.served, name});
    }
  }
}

void StepPolicy::Enter(Group& group) {
  if (group.waiting.empty()) return;
  Level& level = levels_[group.level];
  const auto found = level.tenants.find(group.info.tenant);
  Tenant& tenant = found->second;
  const PolicyRow& first = *group.waiting.begin();
  group.kind = Kind(first);
  group.key = group.admitted_batch + int64_t{options_.patience} * first.rows_left *
                                         (static_cast<int64_t>(group.in_flight.size()) + 1);
  if (HasDue(group)) {
    const absl::Duration needed = Needed(group);
    group.latest_start = group.info.deadline - kDeadlineMargin * needed;
    group.hopeless_from = group.info.deadline - kHopelessPart * needed;
    hopeless_from_.emplace(group.hopeless_from, group.info.id);
  }

  SetReady(level, found->first, tenant, false);
  if (tenant.standing++ == 0) tenant.served = std::max(tenant.served, level.virtual_now);
  Line& line = tenant.lines[group.kind];
  line.by_key.emplace(group.key, group.info.id);
  if (HasDue(group)) {
    line.by_deadline.emplace(group.info.deadline, group.info.id);
    line.by_latest_start.emplace(group.latest_start, group.info.id);
  }
  SetReady(level, found->first, tenant, true);
}

void StepPolicy::Leave(Group& group) {
  if (group.waiting.empty()) return;
  Level& level = levels_[group.level];
  const auto found = level.tenants.find(group.info.tenant);
  Tenant& tenant = found->second;
  SetReady(level, found->first, tenant, false);
  --tenant.standing;
  Line& line = tenant.lines[group.kind];
  line.by_key.erase({group.key, group.info.id});
  line.by_deadline.erase({group.info.deadline, group.info.id});
  line.by_latest_start.erase({group.latest_start, group.info.id});
  hopeless_from_.erase({group.hopeless_from, group.info.id});
  SetReady(level, found->first, tenant, true);
}

void StepPolicy::Admit(const PolicyGeneration& generation, absl::Span<const PolicyRow> rows) {
  Group& group = groups_[generation.id];
  group.info = generation;
  group.level = static_cast<size_t>(generation.priority);
  group.admitted_batch = batches_;
  group.moves_up = generation.admitted + options_.ageing;
  group.waiting.insert(rows.begin(), rows.end());
  for (const PolicyRow& row : rows) waiting_network_rows_ += row.network_rows;
  JoinLevel(group);
}

void StepPolicy::Move(Group& group, size_t level) {
  LeaveLevel(group);
  group.level = level;
  JoinLevel(group);
}

void StepPolicy::Age(absl::Time now) {
  for (size_t i = 1; i < kPriorities; ++i) {
    std::set<std::pair<absl::Time, uint64_t>>& ageing = levels_[i].ageing;
    while (!ageing.empty() && ageing.begin()->first <= now) {
      Group& group = groups_.at(ageing.begin()->second);
      ageing.erase(ageing.begin());
      group.moves_up += options_.ageing;
      Move(group, i - 1);
    }
  }
}

void StepPolicy::GiveUpHope(absl::Time now) {
  while (!hopeless_from_.empty() && hopeless_from_.begin()->first < now) {
    Move(groups_.at(hopeless_from_.begin()->second), kHopeless);
  }
}

uint64_t StepPolicy::BestOf(const Level& level, const Tenant& tenant, const Offer& offer) const {
  // Deadlines count once they compete for the tenant's time; before that the short ones may go
  // first.
  const absl::Time tight =
      offer.now + static_cast<double>(tenant.due_work) * TimeOfRow(level.weights, tenant.weight);
  absl::Time latest_start = absl::InfiniteFuture();
  const std::pair<absl::Time, uint64_t>* earliest = nullptr;
  const std::pair<int64_t, uint64_t>* first = nullptr;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    const Line& line = tenant.lines[kind];
    if (!Fits(kind, offer) || line.by_key.empty()) continue;
    if (first == nullptr || *line.by_key.begin() < *first) first = &*line.by_key.begin();
    if (line.by_deadline.empty()) continue;
    latest_start = std::min(latest_start, line.by_latest_start.begin()->first);
    const auto& deadline = *line.by_deadline.begin();
    if (earliest == nullptr || deadline < *earliest) earliest = &deadline;
  }
  return latest_start <= tight ? earliest->second : first->second;
}

StepPolicy::Pick StepPolicy::Best(const Offer& offer) {
  for (Level& level : levels_) {
    const std::pair<double, std::string_view>* least = nullptr;
    for (size_t kind = 0; kind < kKinds; ++kind) {
      if (!Fits(kind, offer) || level.ready[kind].empty()) continue;
      if (least == nullptr || *level.ready[kind].begin() < *least) {
        least = &*level.ready[kind].begin();
      }
    }
    if (least == nullptr) continue;
    Tenant& tenant = level.tenants.find(std::string(least->second))->second;
    return {&level, &tenant, BestOf(level, tenant, offer)};
  }
  return {};
}

std::vector<PolicyChoice> StepPolicy::Choose(const Offer& offer) {
  Age(offer.now);
  GiveUpHope(offer.now);
  Offer left = offer;
  std::vector<PolicyChoice> chosen;
  while (left.capacity > 0) {
    const Pick pick = Best(left);
    if (pick.level == nullptr) break;
    Group& group = groups_.at(pick.generation);
    Leave(group);
    const PolicyRow row = *group.waiting.begin();
    group.waiting.erase(group.waiting.begin());
    group.in_flight.emplace(row.image_index, row);
    Enter(group);

    SetReady(*pick.level, group.info.tenant, *pick.tenant, false);
    pick.level->virtual_now = std::max(pick.level->virtual_now, pick.tenant->served);
    pick.tenant->served += row.network_rows / pick.tenant->weight;
    SetReady(*pick.level, pick.level->tenants.find(group.info.tenant)->first, *pick.tenant, true);

    left.capacity -= row.network_rows;
    if (!row.resident) --left.new_residents;
    waiting_network_rows_ -= row.network_rows;
    chosen.push_back({group.info.id, row.image_index});
  }
  if (!chosen.empty()) ++batches_;
  return chosen;
}

void StepPolicy::PutBack(uint64_t generation, const PolicyRow& row) {
  Group& group = groups_.at(generation);
  Leave(group);
  const auto in_flight = group.in_flight.find(row.image_index);
  Count(group, in_flight->second, -1);
  group.in_flight.erase(in_flight);
  group.waiting.insert(row);
  Count(group, row, 1);
  waiting_network_rows_ += row.network_rows;
  Enter(group);
}

void StepPolicy::Retire(uint64_t generation, int image_index) {
  Group& group = groups_.at(generation);
  Leave(group);
  const auto in_flight = group.in_flight.find(image_index);
  Count(group, in_flight->second, -1);
  group.in_flight.erase(in_flight);
  Enter(group);
}

void StepPolicy::Remove(uint64_t generation) {
  const auto found = groups_.find(generation);
  if (found == groups_.end()) return;
  for (const PolicyRow& row : found->second.waiting) waiting_network_rows_ -= row.network_rows;
  LeaveLevel(found->second);
  groups_.erase(found);
}

double StepPolicy::NetworkRowsUntilDone(const PolicyGeneration& generation,
                                        absl::Span<const PolicyRow> rows) const {
  double own = 0;
  int longest = 1;
  for (const PolicyRow& row : rows) {
    own += row.work();
    longest = std::max(longest, row.rows_left);
  }
  const size_t rank = static_cast<size_t>(generation.priority);
  double higher = 0;
  for (size_t i = 0; i < rank; ++i) higher += static_cast<double>(levels_[i].backlog.total());

  const Level& level = levels_[rank];
  const double weight = WeightOf(generation.tenant);
  double others = static_cast<double>(level.backlog.total());
  double other_weights = level.weights;
  if (const auto mine = level.tenants.find(generation.tenant); mine != level.tenants.end()) {
    own += static_cast<double>(mine->second.backlog.UpTo(longest));
    others -= static_cast<double>(mine->second.backlog.total());
    other_weights -= weight;
  }
  // While this tenant is served its part, the others are served theirs, as long as they have work.
  return higher + own + std::min(others, own * other_weights / weight);
}

bool StepPolicy::DeadlinesFit(const PolicyGeneration& generation, absl::Span<const PolicyRow> rows,
                              absl::Time now) const {
  const size_t rank = static_cast<size_t>(generation.priority);
  double higher = 0;
  for (size_t i = 0; i < rank; ++i) higher += static_cast<double>(levels_[i].backlog.total());
  const Level& level = levels_[rank];
  const double weight = WeightOf(generation.tenant);
  const auto mine = level.tenants.find(generation.tenant);
  const bool is_new = mine == level.tenants.end();
  const double share = weight / (level.weights + (is_new ? weight : 0));
  Layout layout(now + higher * pace_.network_row, share, pace_);

  bool is_placed = generation.deadline == absl::InfiniteFuture();
  const auto place = [&] {
    is_placed = true;
    return layout.Place(rows) <= generation.deadline;
  };
  if (!is_new) {
    for (const auto& [deadline, id] : mine->second.due) {
      if (!is_placed && deadline > generation.deadline && !place()) return false;
      const Group& group = groups_.at(id);
      absl::Time end = layout.Place(group.waiting);
      for (const auto& [image, row] : group.in_flight)
        end = std::max(end, layout.Place(absl::MakeSpan(&row, 1)));
      if (is_placed && end > deadline) return false;
    }
  }
  return is_placed || place();
}

}  // namespace diffusiond
