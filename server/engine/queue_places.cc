#include "server/engine/queue_places.h"

#include <algorithm>
#include <array>

namespace diffusiond {
namespace {

using Whose = Holder::Whose;

int CountOf(const GenerationSpec& spec) { return static_cast<int>(spec.trajectories.size()); }

}  // namespace

size_t QueuePlaces::known_tenants() const {
  size_t known = 0;
  for (const auto& [name, address] : addresses_) known += address.tenants.size();
  return known;
}

QueuePlaces::Held QueuePlaces::HeldBy(const GenerationSpec& spec) const {
  Held held = {.all = held_, .high = held_high_};
  const auto address = addresses_.find(spec.address);
  if (address == addresses_.end()) return held;
  held.address = address->second.held;
  const auto tenant = address->second.tenants.find(spec.tenant);
  if (tenant != address->second.tenants.end()) held.tenant = tenant->second;
  return held;
}

std::optional<Whose> QueuePlaces::Passes(const Held& held, Priority priority, int count) const {
  if (held.all + count > limits_.places) return Whose::kAll;
  struct Level {
    Whose whose;
    int held;
    double share;
  };
  const std::array<Level, 3> levels = {{
      {Whose::kHigh, priority == Priority::kHigh ? held.high : 0, limits_.high_share},
      {Whose::kAddress, held.address, limits_.share},
      {Whose::kTenant, held.tenant, limits_.share},
  }};
  double room = limits_.places - held.all - count;
  for (const Level& level : levels) {
    if (level.held == 0 || level.share >= 1) continue;
    room = room * level.share / (1 - level.share) - (level.held + count);
    if (room < 0) return level.whose;
  }
  return std::nullopt;
}

std::optional<QueuePlaces::Lack> QueuePlaces::Check(const GenerationSpec& spec) const {
  const int count = CountOf(spec);
  const Held held = HeldBy(spec);
  const std::optional<Whose> passed = Passes(held, spec.priority, count);
  if (!passed.has_value()) return std::nullopt;

  Lack lack = {.whose = *passed, .free = limits_.places - held.all};
  switch (*passed) {
    case Whose::kAll:
      lack.held = held.all;
      break;
    case Whose::kHigh:
      lack.held = held.high;
      break;
    case Whose::kAddress:
      lack.held = held.address;
      break;
    case Whose::kTenant:
      lack.held = held.tenant;
      break;
  }
  // The fewest that the holder must give back; all are enough.
  int too_few = 0, enough = lack.held;
  while (enough - too_few > 1) {
    const int fewer = too_few + (enough - too_few) / 2;
    Held later = held;
    for (int* part : {&later.all, &later.high, &later.address, &later.tenant}) {
      *part = std::max(0, *part - fewer);
    }
    (Passes(later, spec.priority, count).has_value() ? too_few : enough) = fewer;
  }
  lack.needed = enough;
  return lack;
}

void QueuePlaces::Take(const GenerationSpec& spec) { Add(spec, CountOf(spec)); }

void QueuePlaces::Release(const GenerationSpec& spec, int count) { Add(spec, -count); }

void QueuePlaces::Add(const GenerationSpec& spec, int count) {
  if (count == 0) return;
  held_ += count;
  if (spec.priority == Priority::kHigh) held_high_ += count;
  const auto address = addresses_.try_emplace(spec.address).first;
  address->second.held += count;
  const auto tenant = address->second.tenants.try_emplace(spec.tenant, 0).first;
  tenant->second += count;
  if (tenant->second == 0) address->second.tenants.erase(tenant);
  if (address->second.held == 0) addresses_.erase(address);
}

}  // namespace diffusiond
