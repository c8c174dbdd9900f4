#include "server/engine/step_policy.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace diffusiond {
namespace {

// A generation is infeasible when not even this part of what it needs is left. Below 1, because the
// pace is measured: what may be in time by a little is still tried.
constexpr double kInfeasiblePart = 0.9;
// And feasible again when all of it is: what is on the edge does not go to and fro.
constexpr double kFeasiblePart = 1;
constexpr int kLooksForFeasible = 4;  // Infeasible generations that one batch looks at.

// A class that is left none of the trajectories still gets one when nothing else waits.
constexpr double kLeastShare = 1e-9;

// Kinds of trajectories: first those that have begun, then those that have not, which an address's
// queue holds by how many the address has begun, in classes that double.
constexpr size_t kGoOn = 0, kBegin = kMaxPasses;
constexpr int kBegunClasses = 12;
static_assert(kBegin + kBegunClasses * kMaxPasses <= kMaxWorkKinds);
// An address may have begun so many times what it leaves free.
constexpr int kBegunOfFree = 3;

int BegunClass(int begun) {
  return std::min(kBegunClasses - 1,
                  static_cast<int>(std::bit_width(static_cast<unsigned>(begun))));
}

// Kinds of one to so many network passes.
WorkKinds UpTo(int passes, size_t first) {
  const int count = std::clamp(passes, 0, kMaxPasses);
  return ((WorkKinds{1} << count) - 1) << first;
}

}  // namespace

StepPolicy::StepPolicy(Options options) : options_(std::move(options)) {
  high_.share = {.name = "high", .weight = options_.high_share};
  others_.share = {.name = "others", .weight = std::max(1 - options_.high_share, kLeastShare)};
}

bool StepPolicy::HasDue(const Group& group) {
  return group.info.deadline != absl::InfiniteFuture() && group.level != kInfeasible;
}

// A tenant that nobody configured has the weight of any other.
size_t StepPolicy::known_tenants() const {
  size_t known = 0;
  for (const Level& level : levels_) {
    for (const auto& [name, address] : level.addresses) known += address.tenants.size();
  }
  return known;
}

double StepPolicy::WeightOf(const std::string& tenant) const {
  const auto found = options_.tenant_weights.find(tenant);
  if (found != options_.tenant_weights.end()) return found->second;
  return options_.weight_of ? options_.weight_of(tenant).value_or(1) : 1;
}

absl::Duration StepPolicy::Needed(const Group& group) const {
  // Of those that wait the last one has most left: what has not begun has its whole plan to run.
  const int longest = group.waiting.rbegin()->rows_left;
  // One image's steps follow each other whatever the machine; all images' passes share it.
  return std::max(longest * pace_.StepOf(passes_at_once()),
                  static_cast<double>(group.work) * pace_.pass);
}

bool StepPolicy::IsInTime(const Group& group, double part, absl::Time now) const {
  return group.waiting.empty() || now + part * Needed(group) <= group.info.deadline;
}

void StepPolicy::Count(Group& group, const PolicyTrajectory& trajectory, int sign) {
  for (Backlog* backlog :
       {&levels_[group.level].backlog, &group.address->backlog, &group.tenant->backlog}) {
    sign > 0 ? backlog->Add(trajectory) : backlog->Subtract(trajectory);
  }
  if (trajectory.resident) group.address->begun += sign;
  const int64_t work = int64_t{sign} * trajectory.work();
  group.work += work;
  if (HasDue(group)) group.tenant->due_work += work;
}

// By the heaviest tenant and not by the sum, or an address would weigh more by naming more tenants.
void StepPolicy::Weigh(Level& level, Address& address) {
  const double weight = address.weights.empty() ? 0 : *address.weights.rbegin();
  level.all_weights += weight - address.share.weight;
  address.share.weight = weight;
}

void StepPolicy::JoinTenant(Group& group) {
  Level& level = levels_[group.level];
  const auto [address, is_new_address] = level.addresses.try_emplace(group.info.address);
  group.address = &address->second;
  if (is_new_address) group.address->share = {.name = address->first, .weight = 0};
  const auto [tenant, is_new] = group.address->tenants.try_emplace(group.info.tenant);
  group.tenant = &tenant->second;
  ++group.tenant->generations;
  if (!is_new) return;
  const double weight = WeightOf(group.info.tenant);
  group.tenant->share = {.name = tenant->first, .weight = weight};
  group.address->all_weights += weight;
  group.address->weights.insert(weight);
  Weigh(level, *group.address);
}

// All sums and orders that a group stands in belong to its level: it leaves one and joins the next
// as a whole, in O(its trajectories), which happens once each ageing.
void StepPolicy::JoinLevel(Group& group) {
  JoinTenant(group);
  if (HasDue(group)) group.tenant->due.emplace(group.info.deadline, group.info.id);
  for (const PolicyTrajectory& trajectory : group.waiting) Count(group, trajectory, 1);
  for (const auto& [image, trajectory] : group.in_flight) Count(group, trajectory, 1);
  if (group.level > 0 && group.level != kInfeasible) {
    levels_[group.level].ageing.emplace(group.moves_up, group.info.id);
  }
  Enter(group);
}

void StepPolicy::LeaveLevel(Group& group) {
  Level& level = levels_[group.level];
  Address& address = *group.address;
  Tenant& tenant = *group.tenant;
  // Before its sums change, which its place in the orders was computed from.
  Leave(group);
  for (const PolicyTrajectory& trajectory : group.waiting) Count(group, trajectory, -1);
  for (const auto& [image, trajectory] : group.in_flight) Count(group, trajectory, -1);
  level.ageing.erase({group.moves_up, group.info.id});
  tenant.due.erase({group.info.deadline, group.info.id});
  Refresh(group);
  if (--tenant.generations > 0) return;
  address.all_weights -= tenant.share.weight;
  address.weights.erase(address.weights.find(tenant.share.weight));
  address.tenants.erase(group.info.tenant);
  Weigh(level, address);
  if (address.tenants.empty()) level.addresses.erase(group.info.address);
}

// Tells each queue above the group, up to the two sides, which kinds of work are below. A queue
// that is asked for a kind then looks at nobody who has none, so that what cannot go now (no
// residents free, too little capacity left) costs nothing to pass over.
void StepPolicy::Refresh(const Group& group) {
  Level& level = levels_[group.level];
  Address& address = *group.address;
  WorkKinds kinds = 0;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    if (!group.tenant->queues[kind].by_key.empty()) kinds |= WorkKinds{1} << kind;
  }
  address.queue.Offer(*group.tenant, kinds);
  kinds = address.queue.waiting();
  const WorkKinds begin = kinds & UpTo(kMaxPasses, kBegin);
  // What has not begun is filed by how much its address has begun: whether it may begin depends on
  // that and on the offer, and an offer then asks for the classes that it admits (Fitting).
  kinds = (kinds & ~begin) | begin << (kMaxPasses * BegunClass(address.begun));
  level.queue.Offer(address, kinds);
  if (group.level == kInfeasible) return;
  sides_.Offer(high_, levels_[0].queue.waiting());
  kinds = 0;
  for (size_t i = 1; i < kPriorities; ++i) kinds |= levels_[i].queue.waiting();
  sides_.Offer(others_, kinds);
}

void StepPolicy::Enter(Group& group) {
  if (!group.waiting.empty()) {
    const PolicyTrajectory& first = *group.waiting.begin();
    group.kind = Kind(first);
    // Shortest first, with patience: each plan row left counts as `patience` batches of age, so
    // that a long request overtakes those that came so much later.
    group.key = group.admitted_batch + int64_t{options_.patience} * first.rows_left *
                                           (static_cast<int64_t>(group.in_flight.size()) + 1);
    Queue& queue = group.tenant->queues[group.kind];
    queue.by_key.emplace(group.key, group.info.id);
    if (HasDue(group)) {
      const absl::Duration needed = Needed(group);
      group.latest_start = group.info.deadline - kDeadlineMargin * needed;
      group.infeasible_from = group.info.deadline - kInfeasiblePart * needed;
      infeasible_from_.emplace(group.infeasible_from, group.info.id);
      queue.by_deadline.emplace(group.info.deadline, group.info.id);
      queue.by_latest_start.emplace(group.latest_start, group.info.id);
    }
  }
  Refresh(group);
}

void StepPolicy::Leave(Group& group) {
  if (group.waiting.empty()) return;
  Queue& queue = group.tenant->queues[group.kind];
  queue.by_key.erase({group.key, group.info.id});
  queue.by_deadline.erase({group.info.deadline, group.info.id});
  queue.by_latest_start.erase({group.latest_start, group.info.id});
  infeasible_from_.erase({group.infeasible_from, group.info.id});
}

void StepPolicy::Admit(const PolicyGeneration& generation,
                       absl::Span<const PolicyTrajectory> trajectories) {
  Group& group = groups_[generation.id];
  group.info = generation;
  group.level = static_cast<size_t>(generation.priority);
  group.admitted_batch = batches_;
  group.moves_up = generation.admitted + options_.ageing;
  group.waiting.insert(trajectories.begin(), trajectories.end());
  for (const PolicyTrajectory& trajectory : trajectories) waiting_passes_ += trajectory.passes;
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
      group.moves_up += options_.ageing;  // Not now + ageing: a late look ages nobody less.
      Move(group, i - 1);
    }
  }
}

void StepPolicy::DemoteInfeasible(absl::Time now) {
  while (!infeasible_from_.empty() && infeasible_from_.begin()->first < now) {
    Group& group = groups_.at(infeasible_from_.begin()->second);
    if (IsInTime(group, kInfeasiblePart, now)) {
      // The pace is better than when it was last filed.
      Leave(group);
      Enter(group);
      continue;
    }
    group.level_in_hope = group.level;
    infeasible_.insert(group.info.id);
    Move(group, kInfeasible);
  }
}

void StepPolicy::PromoteFeasible(absl::Time now) {
  for (int i = 0; i < kLooksForFeasible && !infeasible_.empty(); ++i) {
    auto next = infeasible_.upper_bound(looked_at_);
    if (next == infeasible_.end()) next = infeasible_.begin();
    looked_at_ = *next;
    Group& group = groups_.at(looked_at_);
    if (!IsInTime(group, kFeasiblePart, now)) continue;
    infeasible_.erase(next);
    Move(group, group.level_in_hope);
  }
}

uint64_t StepPolicy::BestOf(const Level& level, const Address& address, const Tenant& tenant,
                            WorkKinds kinds, absl::Time now) const {
  // Deadlines count once they compete for the tenant's time; before that the short ones may go
  // first.
  // `share` is what the tenant is left of the machine while all others have work; with all that is
  // due, on that share, the last deadline may be missed from `tight` on.
  const Rivals rivals = RivalsOf(static_cast<size_t>(&level - levels_.data()));
  const double share = (rivals.beside > 0 ? rivals.share : 1) *
                       (address.share.weight / level.all_weights) *
                       (tenant.share.weight / address.all_weights);
  const absl::Duration due =
      static_cast<double>(tenant.due_work) * kDeadlineMargin / share * pace_.pass;
  // The next decision comes a step later.
  const absl::Time tight = now + std::max(due, pace_.StepOf(passes_at_once()));
  absl::Time latest_start = absl::InfiniteFuture();
  const std::pair<absl::Time, uint64_t>* earliest = nullptr;
  const std::pair<int64_t, uint64_t>* first = nullptr;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    const Queue& queue = tenant.queues[kind];
    if ((kinds >> kind & 1) == 0 || queue.by_key.empty()) continue;
    if (first == nullptr || *queue.by_key.begin() < *first) first = &*queue.by_key.begin();
    if (queue.by_deadline.empty()) continue;
    latest_start = std::min(latest_start, queue.by_latest_start.begin()->first);
    const auto& deadline = *queue.by_deadline.begin();
    if (earliest == nullptr || deadline < *earliest) earliest = &deadline;
  }
  return latest_start <= tight ? earliest->second : first->second;
}

bool StepPolicy::MayBegin(int begun, int free) const {
  // What fills the machine anybody may begin. Beyond it, each address leaves a part of the free
  // places to those that come later.
  return free > 0 && (begun < pace_.side_by_side || begun + 1 <= kBegunOfFree * (free - 1));
}

WorkKinds StepPolicy::Fitting(const Offer& offer) const {
  WorkKinds kinds = UpTo(offer.capacity, kGoOn);
  for (int i = 0; i < kBegunClasses; ++i) {
    const int least = i == 0 ? 0 : 1 << (i - 1);
    if (!MayBegin(least, offer.new_residents)) break;
    kinds |= UpTo(offer.capacity, kBegin + static_cast<size_t>(i) * kMaxPasses);
  }
  return kinds;
}

StepPolicy::Group* StepPolicy::Best(const Offer& offer) {
  const WorkKinds kinds = Fitting(offer);
  // HIGH and the others take turns by share; of the others a higher class goes strictly first,
  // since ageing brings the lower ones up.
  const Side* side = sides_.Next(kinds);
  size_t first = kInfeasible;
  if (side != nullptr) first = side == &high_ ? 0 : 1;
  for (size_t i = first; i < levels_.size(); ++i) {
    Address* address = levels_[i].queue.Next(kinds);
    if (address == nullptr) continue;
    const WorkKinds begin =
        kinds >> (kMaxPasses * BegunClass(address->begun)) & UpTo(kMaxPasses, kBegin);
    const WorkKinds in_address = (kinds & UpTo(kMaxPasses, kGoOn)) | begin;
    const Tenant* tenant = address->queue.Next(in_address);
    return &groups_.at(BestOf(levels_[i], *address, *tenant, in_address, offer.now));
  }
  return nullptr;
}

void StepPolicy::Serve(const Group& group, const PolicyTrajectory& trajectory) {
  Level& level = levels_[group.level];
  group.address->queue.Serve(*group.tenant, trajectory.passes);
  level.queue.Serve(*group.address, trajectory.passes);
  // What is infeasible runs on what nobody wants and costs no side its turn.
  if (group.level != kInfeasible)
    sides_.Serve(group.level == 0 ? high_ : others_, trajectory.passes);
}

std::vector<PolicyChoice> StepPolicy::Choose(const Offer& offer) {
  PromoteFeasible(offer.now);
  Age(offer.now);
  DemoteInfeasible(offer.now);
  Offer left = offer;
  std::vector<PolicyChoice> chosen;
  while (left.capacity > 0) {
    Group* const group = Best(left);
    if (group == nullptr) break;
    // Out and in again for each trajectory: with one more in flight the group's key is another,
    // which spreads a batch over generations.
    Leave(*group);
    PolicyTrajectory trajectory = *group->waiting.begin();
    group->waiting.erase(group->waiting.begin());
    Serve(*group, trajectory);
    left.capacity -= trajectory.passes;
    waiting_passes_ -= trajectory.passes;
    passes_in_flight_ += trajectory.passes;
    if (!std::exchange(trajectory.resident, true)) {
      --left.new_residents;
      ++group->address->begun;
    }
    group->in_flight.emplace(trajectory.image_index, trajectory);
    Enter(*group);
    chosen.push_back({group->info.id, trajectory.image_index});
  }
  // Age is counted in batches and not in time: what waits while the machine idles does not age.
  if (!chosen.empty()) ++batches_;
  return chosen;
}

void StepPolicy::PutBack(uint64_t generation, const PolicyTrajectory& trajectory) {
  Group& group = groups_.at(generation);
  Leave(group);
  const auto in_flight = group.in_flight.find(trajectory.image_index);
  passes_in_flight_ -= in_flight->second.passes;
  Count(group, in_flight->second, -1);
  group.in_flight.erase(in_flight);
  group.waiting.insert(trajectory);
  Count(group, trajectory, 1);
  waiting_passes_ += trajectory.passes;
  Enter(group);
}

void StepPolicy::Retire(uint64_t generation, int image_index) {
  Group& group = groups_.at(generation);
  Leave(group);
  const auto in_flight = group.in_flight.find(image_index);
  passes_in_flight_ -= in_flight->second.passes;
  Count(group, in_flight->second, -1);
  group.in_flight.erase(in_flight);
  Enter(group);
}

void StepPolicy::Remove(uint64_t generation) {
  const auto found = groups_.find(generation);
  if (found == groups_.end()) return;
  for (const PolicyTrajectory& trajectory : found->second.waiting)
    waiting_passes_ -= trajectory.passes;
  for (const auto& [image, trajectory] : found->second.in_flight)
    passes_in_flight_ -= trajectory.passes;
  infeasible_.erase(generation);
  LeaveLevel(found->second);
  groups_.erase(found);
}

}  // namespace diffusiond
