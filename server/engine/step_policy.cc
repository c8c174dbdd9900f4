#include "server/engine/step_policy.h"

#include <algorithm>
#include <optional>

namespace diffusiond {
namespace {

// What is planned for a deadline is this much longer than what was measured: machines and mixes
// vary, and a row that comes late was computed for nothing.
constexpr double kDeadlineMargin = 1.25;

// Whether a row of this kind can take up the offer.
bool Fits(size_t kind, const SchedulingPolicy::Offer& offer) {
  const bool resident = kind >= 2;
  const int network_rows = static_cast<int>(kind % 2) + 1;
  return network_rows <= offer.capacity && (resident || offer.new_residents > 0);
}

}  // namespace

double StepPolicy::WeightOf(const std::string& tenant) const {
  const auto found = options_.tenant_weights.find(tenant);
  return found == options_.tenant_weights.end() ? 1.0 : found->second;
}

absl::Time StepPolicy::LatestStart(const Group& group) const {
  if (group.info.deadline == absl::InfiniteFuture()) return absl::InfiniteFuture();
  // Of those that wait the last one has most left: what has not begun has its whole plan to run.
  const int longest = group.waiting.rbegin()->rows_left;
  const absl::Duration needed =
      std::max(longest * pace_.step, static_cast<double>(group.work) * pace_.network_row);
  return group.info.deadline - kDeadlineMargin * needed;
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
  const int64_t work = int64_t{sign} * row.rows_left * row.network_rows;
  group.work += work;
  if (group.info.deadline == absl::InfiniteFuture()) return;
  tenant.due_total += work;
  const auto due = tenant.due.try_emplace(group.info.deadline, 0).first;
  due->second += work;
  if (due->second == 0) tenant.due.erase(due);
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
  for (const PolicyRow& row : group.waiting) Count(group, row, 1);
  for (const auto& [image, row] : group.in_flight) Count(group, row, 1);
  if (group.level > 0) level.ageing.emplace(group.moves_up, group.info.id);
  Enter(group);
}

void StepPolicy::LeaveLevel(Group& group) {
  Level& level = levels_[group.level];
  Leave(group);
  for (const PolicyRow& row : group.waiting) Count(group, row, -1);
  for (const auto& [image, row] : group.in_flight) Count(group, row, -1);
  level.ageing.erase({group.moves_up, group.info.id});
  const auto tenant = level.tenants.find(group.info.tenant);
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
  group.latest_start = LatestStart(group);

  SetReady(level, found->first, tenant, false);
  if (tenant.standing++ == 0) tenant.served = std::max(tenant.served, level.virtual_now);
  Line& line = tenant.lines[group.kind];
  line.by_key.emplace(group.key, group.info.id);
  if (group.latest_start != absl::InfiniteFuture()) {
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
  line.by_latest_start.erase({group.latest_start, group.info.id});
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

void StepPolicy::Age(absl::Time now) {
  for (size_t i = 1; i < levels_.size(); ++i) {
    std::set<std::pair<absl::Time, uint64_t>>& ageing = levels_[i].ageing;
    while (!ageing.empty() && ageing.begin()->first <= now) {
      Group& group = groups_.at(ageing.begin()->second);
      LeaveLevel(group);
      --group.level;
      group.moves_up += options_.ageing;
      JoinLevel(group);
    }
  }
}

uint64_t StepPolicy::BestOf(const Level& level, const Tenant& tenant, const Offer& offer) const {
  // Least slack is what counts once deadlines compete for the tenant's time; before that the short
  // ones may go first.
  const absl::Time tight =
      offer.now + static_cast<double>(tenant.due_total) * TimeOfRow(level.weights, tenant.weight);
  const std::pair<absl::Time, uint64_t>* urgent = nullptr;
  const std::pair<int64_t, uint64_t>* first = nullptr;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    const Line& line = tenant.lines[kind];
    if (!Fits(kind, offer) || line.by_key.empty()) continue;
    if (first == nullptr || *line.by_key.begin() < *first) first = &*line.by_key.begin();
    if (line.by_latest_start.empty()) continue;
    const auto& tightest = *line.by_latest_start.begin();
    if (tightest.first > tight) continue;
    if (urgent == nullptr || tightest < *urgent) urgent = &tightest;
  }
  return urgent != nullptr ? urgent->second : first->second;
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
    own += static_cast<double>(row.rows_left) * row.network_rows;
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
  int64_t work = 0;
  for (const PolicyRow& row : rows) work += int64_t{row.rows_left} * row.network_rows;
  const size_t rank = static_cast<size_t>(generation.priority);
  absl::Time begins = now;
  for (size_t i = 0; i < rank; ++i) {
    begins += static_cast<double>(levels_[i].backlog.total()) * pace_.network_row;
  }
  const Level& level = levels_[rank];
  const double weight = WeightOf(generation.tenant);
  const auto mine = level.tenants.find(generation.tenant);
  const bool is_new = mine == level.tenants.end();
  const absl::Duration row = TimeOfRow(level.weights + (is_new ? weight : 0), weight);
  const auto meets = [&](int64_t due_work, absl::Time deadline) {
    return begins + static_cast<double>(due_work) * row <= deadline;
  };
  int64_t due_work = 0;
  if (!is_new) {
    for (const auto& [deadline, due] : mine->second.due) {
      due_work += due;
      const bool later = deadline >= generation.deadline;
      // What was late already is not made late by this one.
      if (later && meets(due_work, deadline) && !meets(due_work + work, deadline)) return false;
    }
    due_work = 0;
    for (const auto& [deadline, due] : mine->second.due) {
      if (deadline <= generation.deadline) due_work += due;
    }
  }
  return generation.deadline == absl::InfiniteFuture() ||
         meets(due_work + work, generation.deadline);
}

}  // namespace diffusiond
