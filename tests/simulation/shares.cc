#include "tests/simulation/shares.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

constexpr int kLong = 10;  // Batches.

// Who came back at this moment was perhaps not there to be chosen.
bool Waits(const Order& order, const OrderedImage& image, absl::Time now) {
  return image.at_it.empty() && !order.Drawn(image) && image.waits_since < now;
}

}  // namespace

Shares::Shares(const World& world) : world_(world) {
  holds_ = world.faults.empty() && world.max_resident >= 4 * world.max_trajectories;
  for (const World::Request& request : world.requests) {
    holds_ = holds_ && request.guided == 1 && request.deadline == absl::InfiniteDuration();
  }
}

int Shares::ClassOf(const Order& order, absl::Time now) const {
  const int64_t up = (now - order.submitted) / world_.ageing;
  return static_cast<int>(std::max<int64_t>(0, static_cast<int64_t>(order.asked->priority) - up));
}

void Shares::Count(const Order& order, int waits, int takes, absl::Time now) {
  const int level = ClassOf(order, now);
  const int address = order.asked->address, tenant = order.asked->tenant;
  const auto weight = world_.weights.find(tenant);
  tenants_[{level, address}][tenant].weight = weight == world_.weights.end() ? 1 : weight->second;
  const int side = level == 0 ? 0 : 1;
  sides_[side].weight = side == 0 ? world_.high_share : 1 - world_.high_share;
  for (Member* const member : {&tenants_[{level, address}][tenant], &addresses_[level][address],
                               &classes_[level], &sides_[side]}) {
    member->waits += waits;
    member->takes += takes;
  }
}

std::string Shares::CheckPairs(const std::string& what, int64_t batch, int capacity,
                               const Members& members) {
  for (auto a = members.begin(); a != members.end(); ++a) {
    for (auto b = std::next(a); b != members.end(); ++b) {
      const std::tuple key(what, a->first, b->first);
      if (a->second.waits < deep_ || b->second.waits < deep_) {
        spans_.erase(key);
        continue;
      }
      Span& span = spans_[key];
      // Who was not there at the last batch, as all of it was cancelled, has not waited.
      if (std::exchange(span.last, batch) != batch - 1) span = {.last = batch};
      span.first += a->second.takes / a->second.weight;
      span.second += b->second.takes / b->second.weight;
      if (++span.batches == kLong) ++long_spans_;
      const double most = capacity / a->second.weight + capacity / b->second.weight;
      if (std::abs(span.first - span.second) <= most) continue;
      return absl::StrCat(what, ": ", a->first, " and ", b->first, " waited for ", span.batches,
                          " batches and had ", span.first, " and ", span.second, " by weight");
    }
  }
  return "";
}

std::string Shares::Take(const std::string& model, int capacity, absl::Span<const StepTask> tasks,
                         const std::deque<Order>& orders, absl::Time now) {
  const int64_t batch = ++batches_[model];
  if (!holds_) return "";
  deep_ = capacity * (world_.devices + world_.lone_workers);
  addresses_.clear();
  tenants_.clear();
  classes_.clear();
  sides_.clear();
  for (const Order& order : orders) {
    if (order.model != model || !order.admitted || order.Troubled(now, world_.watchdog)) continue;
    int waits = 0;
    for (const OrderedImage& image : order.images) {
      waits += Waits(order, image, now) ? 1 : 0;
    }
    if (waits > 0) Count(order, waits, 0, now);
  }
  for (const StepTask& task : tasks) {
    Count(orders[task.spec->seed], 0, 1, now);
    taken_.insert(task.spec->seed);
  }
  if (classes_[1].waits >= deep_ && classes_[2].takes > 0) {
    return "a class above goes first: LOW was served while NORMAL waited";
  }
  std::string broken;
  for (const auto& [key, members] : tenants_) {
    if (!broken.empty()) return broken;
    broken = CheckPairs(absl::StrCat("shares of tenants, class ", key.first, " address ",
                                     key.second, " of ", model),
                        batch, capacity, members);
  }
  // An address weighs as much as its heaviest tenant, which comes and goes.
  for (const auto& [level, members] : addresses_) {
    if (!broken.empty() || !world_.weights.empty()) return broken;
    broken = CheckPairs(absl::StrCat("shares of addresses, class ", level, " of ", model), batch,
                        capacity, members);
  }
  if (!broken.empty() || world_.high_share >= 1) return broken;
  return CheckPairs(absl::StrCat("shares of HIGH and the others of ", model), batch, capacity,
                    sides_);
}

int64_t Shares::batches(const std::string& model) const {
  const auto found = batches_.find(model);
  return found == batches_.end() ? 0 : found->second;
}

std::string Shares::CheckPatience(const Order& waits, const Order& taken, absl::Time now) {
  int in_flight = 0;  // At most.
  int rows_left = std::numeric_limits<int>::max();
  for (const OrderedImage& image : waits.images) {
    if (Waits(waits, image, now)) {
      rows_left = std::min(rows_left, waits.rows() - image.next_row);
    } else if (image.drawn_at >= now) {
      ++in_flight;
    }
  }
  if (rows_left == std::numeric_limits<int>::max()) return "";
  if (taken.batches_before > waits.batches_at_admission) ++yields_;
  // A batch is seen a little after it was chosen.
  const int unseen = world_.devices + world_.lone_workers;
  const int64_t most = int64_t{world_.patience} * rows_left * (in_flight + 1) + unseen;
  const int64_t later = taken.batches_before - waits.batches_at_admission;
  if (later <= most) return "";
  return absl::StrCat("request ", waits.seed, " with ", rows_left,
                      " rows left let a request go first that came ", later,
                      " batches later, allowed: ", most);
}

// Only now it is sure who has waited all the time.
std::string Shares::Quiet(const std::deque<Order>& orders, absl::Time now) {
  std::string broken;
  for (const uint64_t seed : taken_) {
    const Order& taken = orders[seed];
    for (const Order& order : orders) {
      if (order.seed == seed || !order.admitted || order.model != taken.model ||
          order.asked->address != taken.asked->address ||
          order.asked->tenant != taken.asked->tenant ||
          ClassOf(order, now) != ClassOf(taken, now) || order.Troubled(now, world_.watchdog)) {
        continue;
      }
      if (broken.empty()) broken = CheckPatience(order, taken, now);
    }
  }
  taken_.clear();
  return broken;
}

}  // namespace diffusiond
