// The second half of StepPolicy: what it foresees.
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "server/engine/step_policy.h"

namespace diffusiond {
namespace {

// Of work that goes beside other work, what is done when so much of the other is, which gets
// `share`.
double Beside(double backlog, double other, double share) {
  return std::min(backlog, other * (1 - share) / share);
}

double Total(const Backlog& backlog) { return static_cast<double>(backlog.total()); }

}  // namespace

StepPolicy::Part StepPolicy::PartOf(const Level& level, const std::string& address_name,
                                    const std::string& tenant_name) const {
  Part part;
  const auto address = level.addresses.find(address_name);
  if (address != level.addresses.end()) {
    part.address = &address->second;
    const auto tenant = part.address->tenants.find(tenant_name);
    if (tenant != part.address->tenants.end()) part.tenant = &tenant->second;
  }
  // As if it were here; one that is keeps the weight that it came with.
  const double weight = part.tenant != nullptr ? part.tenant->share.weight : WeightOf(tenant_name);
  double in_address = weight, of_address = weight, in_level = level.all_weights + weight;
  if (part.address != nullptr) {
    in_address = part.address->all_weights + (part.tenant == nullptr ? weight : 0);
    of_address = std::max(part.address->share.weight, weight);
    in_level = level.all_weights - part.address->share.weight + of_address;
  }
  part.of_address = weight / in_address;
  part.of_class = of_address / in_level;
  return part;
}

StepPolicy::Rivals StepPolicy::RivalsOf(size_t level) const {
  if (level == kInfeasible) return {};
  Rivals rivals;
  if (level == 0) {
    for (size_t i = 1; i < kPriorities; ++i) rivals.beside += Total(levels_[i].backlog);
    rivals.share = high_.share.weight;
    return rivals;
  }
  for (size_t i = 1; i < level; ++i) rivals.before += Total(levels_[i].backlog);
  rivals.beside = Total(levels_[0].backlog);
  rivals.share = others_.share.weight;
  return rivals;
}

double StepPolicy::PassesUntil(double own, size_t level, const Part& part,
                               Holder::Whose whose) const {
  // While this tenant is served its part, the others are served theirs, as long as they have work;
  // so at each level above.
  double done = own;
  const double of_address = part.address == nullptr ? 0 : Total(part.address->backlog);
  if (whose == Holder::Whose::kTenant) {
    const double of_tenant = part.tenant == nullptr ? 0 : Total(part.tenant->backlog);
    done += Beside(of_address - of_tenant, done, part.of_address);
  }
  if (whose == Holder::Whose::kTenant || whose == Holder::Whose::kAddress) {
    done += Beside(Total(levels_[level].backlog) - of_address, done, part.of_class);
  }
  const Rivals rivals = RivalsOf(level);
  done += rivals.before;
  return done + Beside(rivals.beside, done, rivals.share);
}

double StepPolicy::PassesUntilDone(const PolicyGeneration& generation,
                                   absl::Span<const PolicyTrajectory> trajectories) const {
  double own = 0;
  int longest = 1;
  for (const PolicyTrajectory& trajectory : trajectories) {
    own += trajectory.work();
    longest = std::max(longest, trajectory.rows_left);
  }
  const size_t level = static_cast<size_t>(generation.priority);
  const Part part = PartOf(levels_[level], generation.address, generation.tenant);
  if (part.tenant != nullptr) own += static_cast<double>(part.tenant->backlog.UpTo(longest));
  return PassesUntil(own, level, part, Holder::Whose::kTenant);
}

const Backlog* StepPolicy::BacklogOf(size_t level, const Part& part, Holder::Whose whose) const {
  switch (whose) {
    case Holder::Whose::kAll:
      return &levels_[level].backlog;
    case Holder::Whose::kHigh:
      return level == 0 ? &levels_[level].backlog : nullptr;
    case Holder::Whose::kAddress:
      return part.address == nullptr ? nullptr : &part.address->backlog;
    case Holder::Whose::kTenant:
      return part.tenant == nullptr ? nullptr : &part.tenant->backlog;
  }
  return nullptr;
}

// The shortest of a holder's images end first, class by class: a lower class begins to free places
// when those above have none left to free.
std::optional<PolicyWait> StepPolicy::UntilFree(const Holder& holder, double part) const {
  std::array<Part, kPriorities + 1> parts;
  int count = 0;
  for (size_t i = 0; i < levels_.size(); ++i) {
    parts[i] = PartOf(levels_[i], holder.address, holder.tenant);
    const Backlog* backlog = BacklogOf(i, parts[i], holder.whose);
    if (backlog != nullptr) count += backlog->count();
  }
  if (count == 0) return std::nullopt;
  int needed = std::max(1, static_cast<int>(std::ceil(part * count)));
  PolicyWait wait;
  for (size_t i = 0; i < levels_.size() && needed > 0; ++i) {
    const Backlog* backlog = BacklogOf(i, parts[i], holder.whose);
    if (backlog == nullptr || backlog->count() == 0) continue;
    const PolicyWait own = backlog->OfShortest(needed);
    if (holder.whose == Holder::Whose::kAll) {
      wait.passes += own.passes;
    } else {
      const double until = PassesUntil(own.passes, i, parts[i], holder.whose);
      wait.passes = std::max(wait.passes, until);
    }
    wait.rows = std::max(wait.rows, own.rows);
    needed -= backlog->count();
  }
  return wait;
}

// As Choose would have it with nothing else coming: the tenant's deadlines in order, the new one in
// its place among them. Both that it is in time and that it makes no other late.
bool StepPolicy::FitIn(SideBySide layout, const Tenant* tenant, const PolicyGeneration& generation,
                       absl::Span<const PolicyTrajectory> trajectories) const {
  bool is_placed = generation.deadline == absl::InfiniteFuture();
  const auto place = [&] {
    is_placed = true;
    return layout.Place(trajectories) <= generation.deadline;
  };
  if (tenant == nullptr) return is_placed || place();
  for (const auto& [deadline, id] : tenant->due) {
    if (!is_placed && deadline > generation.deadline && !place()) return false;
    const Group& group = groups_.at(id);
    absl::Time end = layout.Place(group.waiting);
    for (const auto& [image, trajectory] : group.in_flight) {
      end = std::max(end, layout.Place(absl::MakeSpan(&trajectory, 1)));
    }
    if (is_placed && end > deadline) return false;
  }
  return is_placed || place();
}

// Each trajectory is in every batch, and batches of so many passes may take longer than they do
// now: in time itself, and none late that now is not.
bool StepPolicy::FitSideBySide(const PolicyGeneration& generation,
                               absl::Span<const PolicyTrajectory> trajectories, int64_t passes,
                               absl::Time now) const {
  const absl::Duration step = kDeadlineMargin * pace_.StepOf(passes);
  const absl::Duration today = kDeadlineMargin * pace_.StepOf(passes_at_once());
  int longest = 0;
  for (const PolicyTrajectory& trajectory : trajectories) {
    longest = std::max(longest, trajectory.rows_left);
  }
  if (now + longest * step > generation.deadline) return false;
  return std::all_of(groups_.begin(), groups_.end(), [&](const auto& entry) {
    const Group& group = entry.second;
    int rows = group.waiting.empty() ? 0 : group.waiting.rbegin()->rows_left;
    for (const auto& [image, trajectory] : group.in_flight) {
      rows = std::max(rows, trajectory.rows_left);
    }
    const absl::Time deadline = group.info.deadline;
    return now + rows * step <= deadline || now + rows * today > deadline;
  });
}

bool StepPolicy::DeadlinesFit(const PolicyGeneration& generation,
                              absl::Span<const PolicyTrajectory> trajectories,
                              absl::Time now) const {
  int64_t passes = passes_at_once();
  for (const PolicyTrajectory& trajectory : trajectories) passes += trajectory.passes;
  if (passes <= pace_.side_by_side) return FitSideBySide(generation, trajectories, passes, now);
  const size_t level = static_cast<size_t>(generation.priority);
  const Part part = PartOf(levels_[level], generation.address, generation.tenant);
  const double share = part.of_class * part.of_address;
  const Rivals rivals = RivalsOf(level);
  // What goes beside gets its part at most as long as it lasts: as if it all went before, or never
  // ended. Both are less than what there will be.
  const absl::Time later = now + (rivals.before + rivals.beside) * pace_.pass;
  const auto fits = [&](absl::Time begin, double part_of_all) {
    const SideBySide layout(begin, part_of_all * pace_.side_by_side,
                            kDeadlineMargin * pace_.side_by_side * pace_.pass);
    return FitIn(layout, part.tenant, generation, trajectories);
  };
  if (fits(later, share)) return true;
  if (rivals.beside <= 0) return false;
  const absl::Time sooner = now + rivals.before / rivals.share * pace_.pass;
  return fits(sooner, share * rivals.share);
}

}  // namespace diffusiond
