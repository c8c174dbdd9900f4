#include "server/engine/policy.h"

#include <utility>

namespace diffusiond {

int64_t StepPolicy::Key(const Group& group) {
  const int64_t rows_left = group.rows.begin()->rows_left;
  return group.admitted + kPatience * rows_left * (group.in_flight + 1);
}

StepPolicy::Line& StepPolicy::LineOf(const Group& group) {
  const Row& first = *group.rows.begin();
  return lines_[first.resident ? 1 : 0][first.network_rows - 1];
}

void StepPolicy::Enter(uint64_t generation, const Group& group) {
  if (!group.rows.empty()) LineOf(group).emplace(Key(group), generation);
}

void StepPolicy::Leave(uint64_t generation, const Group& group) {
  if (!group.rows.empty()) LineOf(group).erase({Key(group), generation});
}

void StepPolicy::Admit(uint64_t generation, absl::Span<const Row> rows) {
  Group& group = groups_[generation];
  group.admitted = batches_;
  group.rows.insert(rows.begin(), rows.end());
  for (const Row& row : rows) waiting_network_rows_ += row.network_rows;
  Enter(generation, group);
}

StepPolicy::Line* StepPolicy::BestLine(int capacity, int new_residents) {
  Line* best = nullptr;
  for (int resident = new_residents > 0 ? 0 : 1; resident < 2; ++resident) {
    for (int network_rows = 1; network_rows <= 2 && network_rows <= capacity; ++network_rows) {
      Line& line = lines_[resident][network_rows - 1];
      if (line.empty()) continue;
      if (best == nullptr || *line.begin() < *best->begin()) best = &line;
    }
  }
  return best;
}

std::vector<StepPolicy::Choice> StepPolicy::Choose(int capacity, int new_residents) {
  std::vector<Choice> chosen;
  while (Line* line = BestLine(capacity, new_residents)) {
    const uint64_t generation = line->begin()->second;
    Group& group = groups_.at(generation);
    Leave(generation, group);
    const Row row = *group.rows.begin();
    group.rows.erase(group.rows.begin());
    ++group.in_flight;
    Enter(generation, group);

    capacity -= row.network_rows;
    waiting_network_rows_ -= row.network_rows;
    if (!row.resident) --new_residents;
    chosen.push_back({generation, row.image_index});
  }
  if (!chosen.empty()) ++batches_;
  return chosen;
}

void StepPolicy::PutBack(uint64_t generation, const Row& row) {
  Group& group = groups_.at(generation);
  Leave(generation, group);
  --group.in_flight;
  group.rows.insert(row);
  waiting_network_rows_ += row.network_rows;
  Enter(generation, group);
}

void StepPolicy::Retire(uint64_t generation) {
  Group& group = groups_.at(generation);
  Leave(generation, group);
  --group.in_flight;
  Enter(generation, group);
}

void StepPolicy::Remove(uint64_t generation) {
  const auto found = groups_.find(generation);
  if (found == groups_.end()) return;
  Leave(generation, found->second);
  for (const Row& row : found->second.rows) waiting_network_rows_ -= row.network_rows;
  groups_.erase(found);
}

}  // namespace diffusiond
